package influx

import (
	"fmt"
	"strings"
	"testing"

	"tsdb/api/ingest/door"
)

func TestBoundsThePoliciesOfADatabase(t *testing.T) {
	var d databases
	for i := range 2 * maxPolicies {
		d.setPolicy("x", policy{name: strings.Repeat("p", i+1)})
	}
	if n := len(d.policies("x")); n != maxPolicies {
		t.Errorf("%d policies are remembered", n)
	}
}

func TestBoundsTheNumberOfDatabases(t *testing.T) {
	h := New(door.NewShared(door.Options{}), Options{})
	for i := range 2 * maxDatabases {
		h.execute(t.Context(), []string{"CREATE", "DATABASE", fmt.Sprint("db", i)}, "", nil)
	}
	if n := len(h.databases.list()); n != maxDatabases {
		t.Errorf("%d names are remembered", n)
	}
	if r := h.execute(t.Context(), []string{"CREATE", "DATABASE", "db0"}, "", nil); r.Error != "" {
		t.Errorf("creating again: %s", r.Error)
	}
}
