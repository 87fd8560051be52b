package querylog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"tsdb/internal/vfs"
)

var begin = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func texts(costs []Cost) string {
	var all []string
	for _, c := range costs {
		all = append(all, c.Text)
	}
	return strings.Join(all, " ")
}

func TestCostsAreAddedUpByExpression(t *testing.T) {
	clock := vfs.NewManualClock(begin)
	l := New(Options{Clock: clock})
	run := func(text string, took time.Duration, samples int64, err error) {
		_, end := l.Begin(t.Context(), Query{Text: text})
		clock.Advance(took)
		end(Outcome{Series: 3, SamplesRead: samples, Err: err})
	}
	run("often", time.Second, 1, nil)
	run("often", 3*time.Second, 1, errors.New("x"))
	run("often", time.Second, 1, nil)
	run("slow", time.Minute, 10, nil)
	run("wide", 2*time.Second, 1000, nil)
	for by, want := range map[Order]string{ByDuration: "slow often wide", ByFrequency: "often slow wide", BySamples: "wide slow often"} {
		if got := texts(l.Top(by, 10, true)); got != want {
			t.Errorf("by %s: %s, want %s", by, got, want)
		}
	}
	got := l.Top(ByFrequency, 1, true)
	want := Cost{Text: "often", Count: 3, Errors: 1, Total: 5 * time.Second, Longest: 3 * time.Second, SamplesRead: 3, Series: 3, Last: begin.Add(5 * time.Second)}
	if len(got) != 1 || got[0] != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestRunningQueriesAreListedOldestFirst(t *testing.T) {
	clock := vfs.NewManualClock(begin)
	l := New(Options{Clock: clock})
	_, endFirst := l.Begin(t.Context(), Query{Text: "a", Door: "http"})
	clock.Advance(time.Second)
	_, endSecond := l.Begin(t.Context(), Query{Text: "b"})
	if r := l.Running(); len(r) != 2 || r[0].Text != "a" || r[0].Since != begin || r[1].Text != "b" {
		t.Errorf("running %+v", r)
	}
	endFirst(Outcome{})
	if r := l.Running(); len(r) != 1 || r[0].Text != "b" {
		t.Errorf("running %+v", r)
	}
	endSecond(Outcome{})
	if r := l.Running(); len(r) != 0 {
		t.Errorf("running %+v", r)
	}
}

// TestMemoryIsBounded: of any number of expressions only the MaxRemembered with the
// largest total time are kept.
func TestMemoryIsBounded(t *testing.T) {
	clock := vfs.NewManualClock(begin)
	l := New(Options{Clock: clock})
	for i := range 3 * MaxRemembered {
		_, end := l.Begin(t.Context(), Query{Text: fmt.Sprint("q", i)})
		if i == 7 {
			clock.Advance(time.Hour)
		}
		clock.Advance(time.Millisecond)
		end(Outcome{})
	}
	top := l.Top(ByDuration, 10*MaxRemembered, true)
	if len(top) != MaxRemembered || top[0].Text != "q7" {
		t.Errorf("%d, first %+v", len(top), top[0])
	}
	long := strings.Repeat("ü", maxTextBytes)
	_, end := l.Begin(t.Context(), Query{Text: long})
	end(Outcome{})
	for _, c := range l.Top(ByDuration, MaxRemembered, true) {
		if len(c.Text) > maxTextBytes+len("…") || !utf8.ValidString(c.Text) {
			t.Errorf("text of %d bytes", len(c.Text))
		}
	}
}

func TestSlowQueriesAreLogged(t *testing.T) {
	var out bytes.Buffer
	clock := vfs.NewManualClock(begin)
	logger := slog.New(slog.NewTextHandler(&out, nil))
	run := func(l *Log, took time.Duration, o Outcome) string {
		out.Reset()
		_, end := l.Begin(t.Context(), Query{Text: "up", StartMs: 1000, EndMs: 61_000, StepMs: 15_000, Door: "http", Client: "10.0.0.1"})
		clock.Advance(took)
		end(o)
		return out.String()
	}
	l := New(Options{SlowerThan: 10 * time.Second, Clock: clock, Logger: logger})
	if got := run(l, 10*time.Second, Outcome{}); got != "" {
		t.Errorf("not slower: %s", got)
	}
	got := run(l, 11*time.Second, Outcome{Series: 2, SamplesRead: 99, Err: errors.New("broken")})
	for _, want := range []string{
		"level=WARN", `msg="slow query"`, "query=up", "start=1970-01-01T00:00:01", "end=1970-01-01T00:01:01", "step=15s", "duration=11s", "series=2", "samples=99",
		"door=http", "client=10.0.0.1", "err=broken",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %s in %s", want, got)
		}
	}
	if got := run(New(Options{Clock: clock, Logger: logger}), time.Hour, Outcome{}); got != "" {
		t.Errorf("switched off: %s", got)
	}
}

// TestCancelEndsTheContextOfAQuery: of the one named, while it runs.
func TestCancelEndsTheContextOfAQuery(t *testing.T) {
	l := New(Options{})
	a, endA := l.Begin(t.Context(), Query{Text: "a"})
	b, endB := l.Begin(t.Context(), Query{Text: "b"})
	running := l.Running()
	if len(running) != 2 || running[0].ID == running[1].ID {
		t.Fatalf("running %+v", running)
	}
	id := running[0].ID
	if running[0].Text == "b" {
		id = running[1].ID
	}
	if !l.Cancel(id) || !errors.Is(context.Cause(a), ErrCancelled) || b.Err() != nil {
		t.Errorf("cancelled: %v, %v", context.Cause(a), b.Err())
	}
	endA(Outcome{Err: a.Err()})
	if l.Cancel(id) {
		t.Error("a query that has ended can be cancelled")
	}
	endB(Outcome{})
	if b.Err() == nil {
		t.Error("the context outlives its query")
	}
}

// What a page asks of its own accord is kept apart from the same expression of a user.
func TestBackgroundQueriesAreApart(t *testing.T) {
	l := New(Options{})
	for _, background := range []bool{true, true, false} {
		_, end := l.Begin(t.Context(), Query{Text: "up", Background: background})
		end(Outcome{})
	}
	if all := l.Top(ByFrequency, 9, true); len(all) != 2 || all[0].Count != 2 || !all[0].Background || all[1].Background {
		t.Errorf("%+v", all)
	}
	if own := l.Top(ByFrequency, 9, false); len(own) != 1 || own[0].Count != 1 || own[0].Background {
		t.Errorf("%+v", own)
	}
}
