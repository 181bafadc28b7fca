package web

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/dom"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"

	"guzheng/capture/web/devtools"
)

// Bounds of the search for frames of other sites.
const (
	mostAsked      = 500 // frames that are asked what they are
	smallestFrame  = 40  // CSS pixels on either side; what is smaller shows nobody anything
	mostFrameRunes = 2000
)

// A foreignFrame is a frame that the page's scripts may not look into, and
// therefore one that the browser leaves undrawn while no part of it is in the
// window, whatever is pictured and whether or not the frame has a process of
// its own.
type foreignFrame struct {
	url     string
	session *devtools.Session // that its document is in
	id      cdp.FrameID
	owner   cdp.BackendNodeID      // its element, in the tab's session
	element runtime.RemoteObjectID // the same, in our world
	box     box                    // where it lies, of the page
}

// A box is a part of a plane, CSS pixels.
type box struct{ X, Y, Width, Height float64 }

// within is the part of b that lies between two rows.
func (b box) within(top, bottom float64) box {
	end := min(b.Y+b.Height, bottom)
	b.Y = max(b.Y, top)
	b.Height = max(end-b.Y, 0)
	return b
}

// seenScript tells of a frame's element what scripts of its document may
// know: whether the frame is of another site, whether it is shown and not too
// small, and which part of it is in the window and not cut off by what it lies
// in, relative to its border box.
const seenScript = `async function(least) {
	const nothing = {x: 0, y: 0, width: 0, height: 0};
	const inside = this.contentDocument; // an embed has none to show
	const open = inside === undefined ? new URL(this.src, document.baseURI).origin === location.origin : inside !== null;
	if (open) return {foreign: false, shown: true, ...nothing};
	const shown = this.checkVisibility({opacityProperty: true, visibilityProperty: true});
	if (!shown || this.offsetWidth < least || this.offsetHeight < least) return {foreign: true, shown: false, ...nothing};
	const seen = await Promise.race([
		new Promise(done => { const o = new IntersectionObserver(all => { o.disconnect(); done(all[0]); }); o.observe(this); }),
		new Promise(done => setTimeout(done, 1000)),
	]);
	if (!seen) return {foreign: true, shown: true, ...nothing};
	const all = seen.boundingClientRect, part = seen.intersectionRect;
	return {foreign: true, shown: true, x: part.x - all.x, y: part.y - all.y, width: part.width, height: part.height};
}`

// A seenFrame is the answer to seenScript.
type seenFrame struct {
	Foreign, Shown bool
	box
}

// foreign finds the frames of other sites in the picture of the whole page:
// those that lie in the window at its top, and those outside. What is within
// such a frame is in its picture.
func (v *visit) foreign(ctx context.Context) (in, out []foreignFrame, err error) {
	tree, err := cdp.Call(ctx, v.session, page.GetFrameTree, cdp.Empty{})
	if err != nil || tree.FrameTree == nil {
		return nil, nil, err
	}
	s := sieve{v: v}
	err = errors.Join(s.walk(ctx, tree.FrameTree), ctx.Err())
	if s.asked > mostAsked && v.once("limit.foreign") {
		v.journal.Anomaly("limit.foreign", "frames", s.asked, "left", s.asked-mostAsked)
		v.because("limit.foreign", fmt.Sprintf("%d asked", mostAsked))
	}
	slices.SortStableFunc(s.out, func(a, b foreignFrame) int {
		return cmp.Or(cmp.Compare(a.box.Y, b.box.Y), cmp.Compare(a.box.X, b.box.X))
	})
	return s.in, s.out, err
}

// A sieve parts the frames of a page.
type sieve struct {
	v       *visit
	asked   int
	in, out []foreignFrame // of other sites, in the window and outside
}

// walk looks at the frames within one of the tab's session.
func (s *sieve) walk(ctx context.Context, t *page.FrameTree) error {
	children := s.v.children(ctx, t)
	if len(children) == 0 {
		return nil
	}
	world, err := enter(ctx, s.v.session, t.Frame.ID)
	if err != nil {
		return err
	}
	for _, f := range children {
		if s.asked++; s.asked > mostAsked || ctx.Err() != nil {
			continue
		}
		seen, lost := s.v.examine(ctx, &f.foreignFrame, world)
		switch {
		case lost != nil:
			// It went meanwhile, or is not laid out.
		case !seen.Foreign:
			err = errors.Join(err, s.walk(ctx, f.tree))
		case !seen.Shown || !s.v.worth(f.box):
		case seen.Width*seen.Height == 0:
			s.out = append(s.out, f.foreignFrame)
		default:
			s.in = append(s.in, f.foreignFrame)
		}
	}
	return err
}

// A childFrame is one whose element is in the tab's own process.
type childFrame struct {
	foreignFrame
	tree *page.FrameTree
}

// children are the frames directly within one of the tab's session. Where one
// of another process is, its own session knows best.
func (v *visit) children(ctx context.Context, t *page.FrameTree) []childFrame {
	var out []childFrame
	for _, c := range t.ChildFrames {
		out = append(out, childFrame{foreignFrame{url: short(c.Frame.URL, mostFrameRunes), session: v.session, id: c.Frame.ID}, c})
	}
	for _, s := range v.sessions()[1:] {
		if info := s.Target(); !isGone(s) && s.Parent() == v.session && info.ParentFrameID == t.Frame.ID {
			inside := &page.FrameTree{Frame: &cdp.Frame{ID: cdp.FrameID(info.TargetID), URL: info.URL}}
			if own, err := cdp.Call(ctx, s, page.GetFrameTree, cdp.Empty{}); err == nil && own.FrameTree != nil {
				inside.Frame.URL = own.FrameTree.Frame.URL
			}
			out = append(out, childFrame{foreignFrame{url: short(inside.Frame.URL, mostFrameRunes), session: s, id: inside.Frame.ID}, inside})
		}
	}
	return out
}

// worth reports whether a frame is large enough and begins within the part
// of the page that is pictured.
func (v *visit) worth(b box) bool {
	return b.Width >= smallestFrame && b.Height >= smallestFrame &&
		b.X+b.Width > 0 && b.X < float64(v.facts.Page.Width) &&
		b.Y+b.Height > 0 && b.Y < min(float64(v.facts.Page.Height), float64(v.order.Limits.PageHeight))
}

// examine finds the element of a frame and where it lies while the page is
// at its top.
func (v *visit) examine(ctx context.Context, f *foreignFrame, world runtime.ExecutionContextID) (seenFrame, error) {
	owner, err := cdp.Call(ctx, v.session, dom.GetFrameOwner, dom.GetFrameOwnerParams{FrameID: f.id})
	if err != nil {
		return seenFrame{}, err
	}
	f.owner = owner.BackendNodeID
	node, err := cdp.Call(ctx, v.session, dom.ResolveNode, dom.ResolveNodeParams{BackendNodeID: f.owner, ExecutionContextID: world})
	if err != nil {
		return seenFrame{}, err
	}
	f.element = node.Object.ObjectID
	seen, err := v.seen(ctx, *f)
	if err != nil || !seen.Foreign || !seen.Shown {
		return seen, err
	}
	f.box, err = v.border(ctx, *f)
	return seen, err
}

// seen asks which part of a frame is in the window.
func (v *visit) seen(ctx context.Context, f foreignFrame) (seenFrame, error) {
	smallest := []byte(strconv.Itoa(smallestFrame))
	res, err := cdp.Call(ctx, v.session, runtime.CallFunctionOn, runtime.CallFunctionOnParams{
		FunctionDeclaration: seenScript, ObjectID: f.element,
		Arguments: []*runtime.CallArgument{{Value: smallest}}, ReturnByValue: new(true), AwaitPromise: new(true)})
	if err != nil {
		return seenFrame{}, err
	}
	if res.ExceptionDetails != nil || res.Result == nil {
		return seenFrame{}, errEmpty
	}
	var out seenFrame
	if err := json.Unmarshal(res.Result.Value, &out); err != nil {
		return seenFrame{}, fmt.Errorf("reading where a frame lies: %w", err)
	}
	return out, nil
}

// border is the border box of a frame's element in the window.
func (v *visit) border(ctx context.Context, f foreignFrame) (box, error) {
	m, err := cdp.Call(ctx, v.session, dom.GetBoxModel, dom.GetBoxModelParams{BackendNodeID: f.owner})
	if err != nil {
		return box{}, err
	}
	q := m.Model.Border
	if len(q) != 8 {
		return box{}, errEmpty
	}
	left, right := min(q[0], q[2], q[4], q[6]), max(q[0], q[2], q[4], q[6])
	top, bottom := min(q[1], q[3], q[5], q[7]), max(q[1], q[3], q[5], q[7])
	return box{left, top, right - left, bottom - top}, nil
}
