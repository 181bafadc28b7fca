package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/chromedp/cdproto"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"

	"guzheng/capture/web/devtools"
)

// worldName names the isolated world that our scripts run in. The page sees
// neither the world nor anything in it (CDP Page.createIsolatedWorld), and a
// page that replaced JSON or Array does not reach into it.
const worldName = "observer"

// evaluate runs an expression in an isolated world of a frame and decodes
// its JSON value into out. Promises are awaited.
func evaluate(ctx context.Context, s *devtools.Session, id runtime.ExecutionContextID, expression string, out any) error {
	res, err := cdp.Call(ctx, s, runtime.Evaluate, runtime.EvaluateParams{
		Expression: expression, ContextID: id, ReturnByValue: new(true), AwaitPromise: new(true)})
	if err != nil {
		return fmt.Errorf("asking the page: %w", err)
	}
	if res.ExceptionDetails != nil {
		return fmt.Errorf("asking the page: %s", res.ExceptionDetails.Text)
	}
	if out == nil {
		return nil
	}
	b, err := json.Marshal(res.Result)
	if err != nil {
		return fmt.Errorf("reading the page's answer: %w", err)
	}
	var value struct{ Value json.RawMessage }
	if err := json.Unmarshal(b, &value); err != nil {
		return fmt.Errorf("reading the page's answer: %w", err)
	}
	if err := json.Unmarshal(value.Value, out); err != nil {
		return fmt.Errorf("reading the page's answer: %w", err)
	}
	return nil
}

func enter(ctx context.Context, s *devtools.Session, frame cdp.FrameID) (runtime.ExecutionContextID, error) {
	w, err := cdp.Call(ctx, s, page.CreateIsolatedWorld, page.CreateIsolatedWorldParams{FrameID: frame, WorldName: worldName})
	if err != nil {
		return 0, fmt.Errorf("entering the page: %w", err)
	}
	return w.ExecutionContextID, nil
}

// ask evaluates an expression in the main frame. The world is kept between
// questions; one that went with its document is made again.
func (v *visit) ask(ctx context.Context, expression string, out any) error {
	v.mu.Lock()
	frame, id := v.page.frame, v.world
	v.mu.Unlock()
	if id != 0 {
		err := evaluate(ctx, v.session, id, expression, out)
		if !lostWorld(err) {
			return err
		}
	}
	id, err := enter(ctx, v.session, frame)
	if err != nil {
		return err
	}
	v.mu.Lock()
	v.world = id
	v.mu.Unlock()
	return evaluate(ctx, v.session, id, expression, out)
}

// lostWorld reports whether the world of a question is gone.
func lostWorld(err error) bool {
	var e *cdproto.Error
	return errors.As(err, &e) && (strings.Contains(e.Message, "context") || strings.Contains(e.Message, "Context"))
}
