package capture

import (
	"errors"
	"strings"
	"testing"
)

// An upstream proxy is a host and a port, and nothing that must be kept
// secret.
func TestOrderProxy(t *testing.T) {
	for _, good := range []string{"", "http://proxy.example:3128", "http://10.0.0.1:80", "http://[2001:db8::1]:8080"} {
		o := testOrder()
		o.Proxy = good
		if err := o.Check(); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	for _, bad := range []string{
		"proxy.example:3128", "http://proxy.example", "http://proxy.example:", "http://:3128", "http://proxy.example:0",
		"http://proxy.example:65536", "https://proxy.example:3128", "socks5://proxy.example:1080",
		"http://proxy.example:3128/", "http://proxy.example:3128/x", "http://proxy.example:3128?x", "http://proxy.example:3128#x",
		"http://user:secret@proxy.example:3128", "http://user@proxy.example:3128", "http://user:secret@\x7f:3128", "//proxy.example:3128", "http:proxy.example:3128",
	} {
		o := testOrder()
		o.Proxy = bad
		err := o.Check()
		if !errors.Is(err, ErrOrder) {
			t.Errorf("%q: %v", bad, err)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: the complaint repeats the password: %v", bad, err)
		}
	}
}
