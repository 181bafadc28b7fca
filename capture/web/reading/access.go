package reading

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/cdp/jsonv2"
)

// AccessFormat names the version of the accessibility trees' JSON form.
const AccessFormat = "guzheng-access/1"

// AccessTrees are the accessibility trees of a page, one for each document.
type AccessTrees struct {
	Format string       `json:"format"`
	Trees  []AccessTree `json:"trees"`
}

// AccessTree is what a screen reader is told about one document. A parent
// stands before its children, and these in their order.
type AccessTree struct {
	URL   string       `json:"url"`
	Nodes []AccessNode `json:"nodes"`
}

// AccessNode is one node. Parent is the index of its parent among the nodes
// of the tree; the root is the first node and names itself.
type AccessNode struct {
	Role        string `json:"role"`
	Name        string `json:"name,omitempty"`
	Value       string `json:"value,omitempty"`
	Description string `json:"description,omitempty"`
	URL         string `json:"url,omitempty"`    // of a link or picture
	States      string `json:"states,omitempty"` // such as "checked=true level=2"
	Parent      int    `json:"parent"`
	Node        int64  `json:"node,omitempty"` // backend node id, as in the lines
}

// Accessible asks a session for the accessibility tree of a frame that lives
// in it; an empty frame is the session's main one. Nodes that are ignored,
// boxes of lines, and containers that say nothing are dropped, and their
// children given to their parents.
//
// The browser takes some 45 µs of processor time for a node (it also reports
// how it found each name) and sends 350 bytes: a page of 70,000 DOM nodes
// takes 5 s and 39 MB. Callers should not ask for pages of that size.
func Accessible(ctx context.Context, s cdp.Session, frame cdp.FrameID) (AccessTree, error) {
	var answer axAnswer
	if err := s.Call(ctx, accessibility.CommandGetFullAXTree, accessibility.GetFullAXTreeParams{FrameID: frame}, &answer); err != nil {
		return AccessTree{}, fmt.Errorf("asking for the accessibility tree: %w", err)
	}
	return reduce(answer), nil
}

type axAnswer struct {
	Nodes []axNode `json:"nodes"`
}

// An axNode has the members of a protocol node that are of use; the others
// are passed over without being decoded.
type axNode struct {
	ID          string       `json:"nodeId"`
	Ignored     bool         `json:"ignored"`
	Role        axValue      `json:"role"`
	Name        axValue      `json:"name"`
	Value       axValue      `json:"value"`
	Description axValue      `json:"description"`
	Properties  []axProperty `json:"properties"`
	Children    []string     `json:"childIds"`
	Parent      string       `json:"parentId"`
	Node        int64        `json:"backendDOMNodeId"`
}

type axValue struct {
	Value jsonv2.Value `json:"value"`
}

type axProperty struct {
	Name  string  `json:"name"`
	Value axValue `json:"value"`
}

// text is a value as text: a JSON string without its quotes, or else the
// JSON.
func (v axValue) text() string {
	var s string
	if len(v.Value) > 0 && v.Value[0] == '"' && json.Unmarshal(v.Value, &s) == nil {
		return s
	}
	return string(v.Value)
}

// reduce makes a tree of a protocol answer.
func reduce(answer axAnswer) AccessTree {
	index := make(map[string]int, len(answer.Nodes))
	for i, n := range answer.Nodes {
		index[n.ID] = i
	}
	t := AccessTree{Nodes: []AccessNode{}}
	seen := make([]bool, len(answer.Nodes))
	type step struct{ node, parent int }
	var stack []step
	for i := range answer.Nodes {
		if p, ok := index[answer.Nodes[i].Parent]; ok && p != i {
			continue
		}
		stack = append(stack, step{i, 0})
		for len(stack) > 0 {
			s := stack[len(stack)-1]
			stack = stack[:len(stack)-1]
			if seen[s.node] {
				continue
			}
			seen[s.node] = true
			n := &answer.Nodes[s.node]
			if n.Role.text() == "InlineTextBox" {
				continue
			}
			if parent := s.parent; !n.idle() {
				s.parent = len(t.Nodes)
				t.Nodes = append(t.Nodes, n.reduced(parent))
			}
			for k := len(n.Children) - 1; k >= 0; k-- {
				if c, ok := index[n.Children[k]]; ok && !seen[c] {
					stack = append(stack, step{c, s.parent})
				}
			}
		}
	}
	if len(t.Nodes) > 0 {
		t.URL, t.Nodes[0].URL = t.Nodes[0].URL, ""
	}
	return t
}

// idle reports whether a node says nothing.
func (n *axNode) idle() bool {
	if n.Ignored {
		return true
	}
	switch n.Role.text() {
	case "generic", "none", "LineBreak":
		return n.Name.text() == "" && n.Description.text() == ""
	}
	return false
}

func (n *axNode) reduced(parent int) AccessNode {
	out := AccessNode{Role: n.Role.text(), Name: n.Name.text(), Value: n.Value.text(), Description: n.Description.text(),
		Parent: parent, Node: n.Node}
	var states []string
	for _, p := range n.Properties {
		switch v := p.Value.text(); {
		case p.Name == "url":
			out.URL = v
		case telling(p.Name) && v != "false" && v != "":
			states = append(states, p.Name+"="+v)
		}
	}
	out.States = strings.Join(states, " ")
	return out
}

// telling is for the properties that a person would be told of.
func telling(name string) bool {
	switch name {
	case "level", "checked", "expanded", "selected", "disabled", "required", "invalid", "hidden", "modal", "pressed",
		"readonly", "multiselectable", "hasPopup", "live", "busy", "valuetext", "roledescription", "errormessage":
		return true
	}
	return false
}
