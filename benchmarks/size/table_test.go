package main

import (
	"strings"
	"testing"
	"time"

	"tsdb/benchmarks/server"
	"tsdb/benchmarks/sets"
)

func TestTable(t *testing.T) {
	servers := []server.Server{{Name: "tsdb"}, {Name: "other"}}
	rows := []row{
		{choice{set: sets.Set{Name: "a"}, goal: goal{bytes: 0.3}}, 10, 2e6, 1.025, []server.Account{{Data: 5e5, Index: 1e5}, {Data: 8e5}}},
		{choice{set: sets.Set{Name: "b"}, goal: goal{ofVM: 0.55}}, 20, 1e6, 3, []server.Account{{Data: 1e6}, {Data: 1e6, Index: 1e6}}},
	}
	const want = `| set | series | samples | XOR-120 | tsdb: data | with index | other: data | with index | ratio | wanted |
|---|---:|---:|---:|---:|---:|---:|---:|---:|---|
| a | 10 | 2.00 M | 1.0250 | 0.2500 | 0.3000 | 0.4000 | 0.4000 | 0.75 | ≤ 0.30 |
| b | 20 | 1.00 M | 3.0000 | 1.0000 | 1.0000 | 1.0000 | 2.0000 | 0.50 | ratio ≤ 0.55 |
`
	var b strings.Builder
	writeTable(&b, servers, rows)
	if b.String() != want {
		t.Errorf("got\n%swant\n%s", b.String(), want)
	}
}

func TestChoose(t *testing.T) {
	f := func(names, recording string, want int) {
		t.Helper()
		got, err := choose(names, options{hosts: 1, targets: 1, span: time.Hour, seed: 1, recording: recording})
		if (err != nil) != (want == 0) || len(got) != want {
			t.Errorf("%q, recording %q: %d sets, %v; want %d", names, recording, len(got), err, want)
		}
	}
	f("", "", 5)
	f("", "file", 6)
	f("cpu,nodes", "", 2)
	f("real", "", 0) // there is no recording
	f("cpu,nothing", "", 0)
}

// The samples of a set lie in whole days before today.
func TestSpansEndBeforeToday(t *testing.T) {
	for _, span := range []time.Duration{time.Hour, day, day + time.Hour, 3 * day} {
		all, err := choose("sensors", options{hosts: 1, targets: 1, span: span, seed: 1})
		if err != nil {
			t.Fatal(err)
		}
		series, err := all[0].set.Group(0)
		if err != nil {
			t.Fatal(err)
		}
		times := series[0].Times
		first, last := time.UnixMilli(times[0]), time.UnixMilli(times[len(times)-1])
		if today := time.Now().UTC().Truncate(day); last.After(today) || today.Sub(last) >= day || !first.Truncate(day).Add(10*time.Second).Equal(first) {
			t.Errorf("%s: from %s to %s", span, first, last)
		}
	}
}
