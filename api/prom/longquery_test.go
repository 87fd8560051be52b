package prom

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// TestLongQueriesArePosted: long and deep queries sent by POST are answered, such
// as those of Grafana's variable All over 9,000 pods.
func TestLongQueriesArePosted(t *testing.T) {
	s := newServer(t, Options{})
	var pods strings.Builder
	for i := range 9000 {
		fmt.Fprintf(&pods, "ns-00000/pod-abcdef-%06d-xyz12|", i)
	}
	for _, expr := range []string{
		`count(up{pod=~"` + pods.String() + `1"})`, "1" + strings.Repeat("+1", 2100), strings.Repeat("(", 300) + "up" + strings.Repeat(")", 300),
	} {
		res, err := http.PostForm(s.URL+"/api/v1/query", url.Values{"query": {expr}})
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if res.StatusCode != 200 {
			t.Errorf("%.40s…: %d %.200s", expr, res.StatusCode, body)
		}
	}
}
