package main

import (
	"strings"
	"testing"
	"time"
)

func TestReadQuestions(t *testing.T) {
	got, err := readQuestions(strings.NewReader("# comment\n\n  a  cpu 1h\t1m  sum by (x) (rate(y[5m]))  \nb fleet 90m 15s up # all\n"))
	want := []question{
		{name: "a", set: "cpu", span: time.Hour, step: time.Minute, query: "sum by (x) (rate(y[5m]))"},
		{name: "b", set: "fleet", span: 90 * time.Minute, step: 15 * time.Second, query: "up # all"},
	}
	if err != nil || len(got) != 2 || got[0] != want[0] || got[1] != want[1] {
		t.Errorf("%v, %v; want %v", got, err, want)
	}
	for text, reason := range map[string]string{
		"a cpu 1h 1m\n":                    "not of the form",
		"a cpu 1x 1m up\n":                 "range",
		"a cpu 1h m up\n":                  "step",
		"a cpu 1h 0s up\n":                 "step 0s: want",
		"a cpu -1h 1s up\n":                "range -1h",
		"\na cpu 1h 1m up\na cpu 1h 1m up": "line 3: query name",
	} {
		if got, err := readQuestions(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), reason) {
			t.Errorf("%q: %v, %v; want an error with %q", text, got, err, reason)
		}
	}
}
