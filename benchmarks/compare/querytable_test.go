package main

import (
	"errors"
	"strings"
	"testing"
	"time"

	"tsdb/benchmarks/server"
)

func TestQueryTable(t *testing.T) {
	const ms = time.Millisecond
	peers := []peer{
		{Server: server.Server{Name: "tsdb"}},
		{Server: server.Server{Name: "fast"}, goal: goal{time: 0.5, brief: 1, cpu: 1}},
		{Server: server.Server{Name: "slow"}, goal: goal{time: 0.1, brief: 0.1}},
	}
	turn := func(cold, coldCPU, warm, warmCPU time.Duration) asked {
		return asked{cold: cost{cold, coldCPU}, warm: cost{warm, warmCPU}}
	}
	outcomes := []outcome{
		{
			question: question{name: "a"}, series: 7,
			examined: []examined{{peak: 5e6}, {peak: 20e6}, {}},
			failed:   []error{nil, nil, errors.New("too much")},
			turns: [][]asked{
				{turn(9*ms, 3*ms, ms, ms), turn(2*ms, 3*ms, ms, ms), turn(3*ms, 8*ms, ms, ms)}, // medians 3, 3, 1, 1
				{turn(5*ms, 4*ms, ms, 500*time.Microsecond)},
				nil,
			},
		},
		{
			question: question{name: "b"},
			examined: make([]examined, 3),
			failed:   make([]error, 3),
			turns:    [][]asked{{turn(ms, ms, 20*ms, ms)}, {turn(4*ms, ms, ms, ms)}, {turn(20*ms, 20*ms, 1000*ms, 1000*ms)}},
		},
	}
	const want = `| query | series | tsdb, ms | fast, ms | time | CPU | slow, ms | time | CPU | peak RSS above idle, MB |
|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|
| a | 7 | 3.00 · 1.00 | 5.00 · 1.00 | **0.60** · 1.00 | 0.75 · **2.00** | – · – | – · – | – · – | 5 · 20 · – |
| b | 0 | 1.00 · 20.0 | 4.00 · 1.00 | 0.25 · **20.00** | 1.00 · 1.00 | 20.0 · 1000 | 0.050 · 0.020 | 0.050 · 0.001 | 0 · 0 · 0 |
`
	var b strings.Builder
	writeTable(&b, peers, outcomes)
	if b.String() != want {
		t.Errorf("got\n%swant\n%s", b.String(), want)
	}
}

func TestJudge(t *testing.T) {
	peers := []peer{{}, {differs: true}, {}}
	a, b := answer{{"a", []point{{1, 1}}}}, answer{{"a", []point{{1, 2}}}}
	none := errors.New("none")
	f := func(wrong bool, failed []error, answers ...answer) {
		t.Helper()
		o := outcome{failed: failed}
		for _, a := range answers {
			o.examined = append(o.examined, examined{answer: a})
		}
		o.judge(peers)
		if (o.err != nil) != wrong {
			t.Errorf("%v: %v", answers, o.err)
		}
	}
	f(false, make([]error, 3), a, a, a)
	f(false, make([]error, 3), a, b, a) // as it may
	f(false, make([]error, 3), a, nil, a)
	f(true, make([]error, 3), a, a, b)
	f(false, []error{nil, nil, none}, a, a, nil)
	f(true, []error{none, nil, nil}, nil, a, a)
}
