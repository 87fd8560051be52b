package rpc

import (
	"fmt"
	"strings"
	"testing"
)

// TestLongQueriesAreAnswered: long and deep queries are answered over gRPC as well.
func TestLongQueriesAreAnswered(t *testing.T) {
	s := newServer(t, Options{})
	var pods strings.Builder
	for i := range 9000 {
		fmt.Fprintf(&pods, "ns-00000/pod-abcdef-%06d-xyz12|", i)
	}
	for _, expr := range []string{
		`count(up{pod=~"` + pods.String() + `1"})`, "1" + strings.Repeat("+1", 2100), strings.Repeat("(", 300) + "up" + strings.Repeat(")", 300),
	} {
		if _, err := s.instant(t, expr, nil); err != nil {
			t.Errorf("%.40s…: %v", expr, err)
		}
	}
}
