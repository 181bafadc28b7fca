package web

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
)

// worldName names the isolated world that our scripts run in. The page sees
// neither the world nor anything in it (CDP Page.createIsolatedWorld), and a
// page that replaced JSON or Array does not reach into it.
const worldName = "observer"

// evaluate runs an expression in the isolated world of a frame and decodes
// its JSON value into out. Promises are awaited.
func (v *visit) evaluate(ctx context.Context, frame cdp.FrameID, expression string, out any) error {
	world, err := cdp.Call(ctx, v.session, page.CreateIsolatedWorld, page.CreateIsolatedWorldParams{FrameID: frame, WorldName: worldName})
	if err != nil {
		return fmt.Errorf("entering the page: %w", err)
	}
	res, err := cdp.Call(ctx, v.session, runtime.Evaluate, runtime.EvaluateParams{
		Expression: expression, ContextID: world.ExecutionContextID, ReturnByValue: new(true), AwaitPromise: new(true)})
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

// ask is evaluate in the main frame.
func (v *visit) ask(ctx context.Context, expression string, out any) error {
	v.mu.Lock()
	frame := v.page.frame
	v.mu.Unlock()
	return v.evaluate(ctx, frame, expression, out)
}
