package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

const queriesFile = "../queries.txt"

// Every query of the list belongs to a set and asks for whole steps that end
// with it.
func TestQueriesFitTheirSets(t *testing.T) {
	questions, err := chosenQuestions(queriesFile, "")
	if err != nil {
		t.Fatal(err)
	}
	all := datasets(1, 1)
	used := map[string]bool{}
	for _, q := range questions {
		d, ok := all[q.set]
		if !ok {
			t.Errorf("%s: there is no set %q", q.name, q.set)
			continue
		}
		used[q.set] = true
		if q.span%q.step != 0 || d.end.UnixMilli()%q.step.Milliseconds() != 0 || d.end.Add(-q.span).Before(firstDay) {
			t.Errorf("%s: %s by steps of %s up to %s", q.name, q.span, q.step, d.end)
		}
	}
	if len(used) != len(all) {
		t.Errorf("the queries use %v", used)
	}
	if rates, err := chosenQuestions(queriesFile, "rate"); err != nil || len(rates) == 0 || len(rates) >= len(questions) {
		t.Errorf("%d queries of %d have rate in their names, %v", len(rates), len(questions), err)
	}
}

func TestChosenSets(t *testing.T) {
	all := datasets(1, 1)
	if sets, err := chosenSets("fleet,cpu", all); err != nil || len(sets) != 2 || sets[0].name != "fleet" {
		t.Errorf("%v, %v", sets, err)
	}
	for _, names := range []string{"", "cpu,nothing"} {
		if sets, err := chosenSets(names, all); err == nil {
			t.Errorf("%q: %v and no error", names, sets)
		}
	}
}

// The whole of it, tsdb alone on small sets: every query has an answer, and a
// second time the sets are there already.
func TestQueriesHaveAnswers(t *testing.T) {
	if testing.Short() {
		t.Skip("builds and runs the server")
	}
	dir := t.TempDir()
	program := os.Getenv("TSDB_BIN")
	if program == "" {
		program = filepath.Join(dir, "tsdb-server")
		if out, err := exec.Command("go", "build", "-ldflags=-s -w", "-o", program, "tsdb/cmd/tsdb").CombinedOutput(); err != nil {
			t.Fatalf("build the server: %v\n%s", err, out)
		}
	}
	questions, err := chosenQuestions(queriesFile, "")
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	peers := peersOf(program, "", "")
	for name, d := range datasets(20, 2) {
		if outcomes, err := measureSet(ctx, peers, d, nil, 0, dir); err != nil || outcomes != nil { // loads only
			t.Fatal(name, outcomes, err)
		}
		var asked []question
		for _, q := range questions {
			if q.set == name {
				asked = append(asked, q)
			}
		}
		outcomes, err := measureSet(ctx, peers, d, asked, 1, dir)
		if err != nil {
			t.Fatal(name, err)
		}
		for _, o := range outcomes {
			if o.err != nil || o.series == 0 || len(o.turns[0]) != 1 {
				t.Errorf("%s: %d series, %d turns, %v", o.name, o.series, len(o.turns[0]), o.err)
				continue
			}
			a := o.turns[0][0]
			for _, c := range []cost{a.cold, a.warm} {
				if c.wall <= 0 || c.cpu <= 0 {
					t.Errorf("%s took %s, CPU %s", o.name, c.wall, c.cpu)
				}
			}
		}
	}
}
