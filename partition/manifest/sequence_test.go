package manifest

import (
	"bytes"
	"fmt"
	"math/rand"
	"reflect"
	"slices"
	"testing"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/model"
	"tsdb/partition/block"
)

// comparableState returns the bytes of a state without what a sequence does not keep.
func comparableState(t testing.TB, s *State) string {
	t.Helper()
	c := s.Clone()
	clear(c.Dropped)
	for name, b := range c.Blocks {
		b.OldestMs, b.NewestMs = 0, 0
		c.Blocks[name] = b
	}
	b, err := Encode(c)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// randomStates returns states of one database, each a few changes after the one before.
// They need not be possible: a sequence keeps what it is given.
func randomStates(t testing.TB, r *rand.Rand, n int) (states []*State) {
	t.Helper()
	blocks := listedBlocks(t, "L2:1-4@0,keys:a-m L2:1-4@0,keys:n-z L1:5-6@0 L1:7-8@0 L1:5-6@1 L0:9-9 L0:11-11 L0:12-12")
	s := NewState(7, 0)
	s.WALLow, s.Incarnation.ID, s.HighGen, s.TierFloors[block.Hour] = 1, 5, 20, testDay
	for i := range n {
		s = s.Clone()
		s.Number, s.WallMs = uint64(10+i), int64(1000*i)
		for range 1 + r.Intn(4) {
			b := blocks[r.Intn(len(blocks))]
			b.Series, b.Samples, b.MaxTime = 1, 1, b.MinTime
			day := CoverKey{Tier: block.Hour, Day: testDay + int64(r.Intn(3))*model.DayMs}
			switch r.Intn(9) {
			case 0, 1:
				if _, listed := s.Blocks[b.Name]; !listed {
					s.Blocks[b.Name] = b
				}
			case 2:
				delete(s.Blocks, b.Name)
			case 3:
				s.Coverage[day] = Coverage{CoverKey: day, Tombstone: uint64(r.Intn(4)), Gen: uint64(r.Intn(9)), Sources: []string{b.Name}}
			case 4:
				delete(s.Coverage, day)
			case 5:
				s.Floor = max(s.Floor, testDay) + int64(r.Intn(2))*model.DayMs
				s.TierFloors[block.Hour] = s.Floor
				s.Offsets[fmt.Sprint(r.Intn(2))] = int64(r.Intn(5))
			case 6:
				s.WALLow, s.HighGen, s.HighLSN = s.WALLow+1, s.HighGen+1, s.HighLSN+5
			case 7:
				id := uint64(1 + r.Intn(3))
				s.Tombstones = slices.DeleteFunc(s.Tombstones, func(t Tombstone) bool { return t.ID == id })
				if r.Intn(2) == 0 {
					s.Tombstones = append(s.Tombstones, testTombstone(id, uint64(r.Intn(9))))
					slices.SortFunc(s.Tombstones, func(a, b Tombstone) int { return int(a.ID) - int(b.ID) })
				}
			case 8:
				s.RuleLists = nil
				if r.Intn(3) > 0 {
					s.RuleLists = []RuleList{{ID: uint64(1 + r.Intn(2)), Rules: []Rule{
						{Selectors: [][]*labels.Matcher{{labels.MustNewMatcher(labels.MatchEqual, "env", "dev")}}, Floors: map[block.Tier]int64{block.Raw: testDay + int64(r.Intn(2))*model.DayMs}},
						{},
					}}}
				}
			}
		}
		states = append(states, s)
	}
	return states
}

// Whatever happens between two states, a file of them gives each of them back.
func TestSequenceKeepsEveryState(t *testing.T) {
	files := 0
	for seed := range int64(15) {
		states := randomStates(t, rand.New(rand.NewSource(seed)), 20)
		var w SequenceWriter
		var file []byte
		first := 0
		for i, s := range states {
			b, whole, err := w.Next(s)
			if err != nil {
				t.Fatal(err)
			}
			if whole {
				file, first = nil, i
				files++
			}
			file = append(file, b...)
			w.Wrote(s, whole)
			q, err := ReadSequence(file)
			if err != nil || len(q.Edits) != i-first+1 || q.Torn.Bytes != 0 {
				t.Fatalf("seed %d, state %d: %d edits, %v", seed, i, len(q.Edits), err)
			}
			for k := first; k <= i; k++ {
				got := q.State(states[k].Number)
				if got == nil || comparableState(t, got) != comparableState(t, states[k]) {
					t.Fatalf("seed %d: state %d is another one after %d", seed, k, i)
				}
			}
		}
		for _, number := range []uint64{0, states[first].Number - 1, states[len(states)-1].Number + 1} {
			if q, _ := ReadSequence(file); q.State(number) != nil {
				t.Errorf("there is a state %d", number)
			}
		}
	}
	if files > 100 { // a rule takes the version up, once or more in a life
		t.Errorf("%d files for 15 lives", files)
	}
}

// What an edit cannot say begins a new file.
func TestNoDifferenceBackwards(t *testing.T) {
	s := NewState(7, 0)
	s.WALLow, s.Floor, s.Offsets["a"], s.TierFloors[block.Hour] = 5, testDay, 1, testDay
	b := listedBlocks(t, "L0:9-9")[0]
	b.Series, b.Samples = 1, 1
	s.Blocks[b.Name] = b
	for name, change := range map[string]func(s *State){
		"seed": func(s *State) { s.Seed++ }, "log": func(s *State) { s.WALLow-- }, "floor": func(s *State) { s.Floor = NoFloor },
		"offset": func(s *State) { delete(s.Offsets, "a") }, "tier": func(s *State) { delete(s.TierFloors, block.Hour) },
		"block": func(s *State) { b.CRC++; s.Blocks[b.Name] = b },
	} {
		next := s.Clone()
		change(next)
		if _, ok := Difference(s, next); ok {
			t.Errorf("%s: there is a difference", name)
		}
	}
	if e, ok := Difference(s, s); !ok || !reflect.DeepEqual(e, Edit{Keys: map[string]KeyRange{}}) {
		t.Errorf("to itself: %+v", e)
	}
}

// Damage and torn ends cost what follows them only.
func TestSequenceBeforeDamageIsRead(t *testing.T) {
	states := randomStates(t, rand.New(rand.NewSource(1)), 4)
	for _, s := range states {
		s.RuleLists = nil
	}
	var w SequenceWriter
	var file []byte
	var ends []int
	for _, s := range states {
		b, whole, err := w.Next(s)
		if err != nil || whole != (len(file) == 0) {
			t.Fatal(whole, err)
		}
		w.Wrote(s, whole)
		file = append(file, b...)
		ends = append(ends, len(file))
	}
	for n := range len(file) {
		q, err := ReadSequence(file[:n])
		whole := 0
		for whole < len(ends) && ends[whole] <= n {
			whole++
		}
		if len(q.Edits) != whole || (err == nil) != (whole > 0) {
			t.Fatalf("%d of %d bytes: %d edits, %v", n, len(file), len(q.Edits), err)
		}
		damaged := bytes.Clone(file)
		damaged[n] ^= 0x10
		q, err = ReadSequence(damaged)
		if n >= manifestHeaderLen && len(q.Edits) != whole || err == nil && n < ends[2] {
			t.Fatalf("damage at %d: %d edits, %v", n, len(q.Edits), err)
		}
	}
}

// FuzzSequence: any bytes give an error or states, and never panic.
func FuzzSequence(f *testing.F) {
	states := randomStates(f, rand.New(rand.NewSource(3)), 4)
	var w SequenceWriter
	var file []byte
	for _, s := range states {
		b, whole, err := w.Next(s)
		if err != nil {
			f.Fatal(err)
		}
		if whole {
			file = nil
		}
		w.Wrote(s, whole)
		file = append(file, b...)
		f.Add(bytes.Clone(file))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		q, _ := ReadSequence(b)
		for i := range q.Edits {
			if q.State(q.Edits[i].Number) == nil && q.Edits[i].Drop == nil && i == 0 {
				t.Error("the first state is missing")
			}
		}
	})
}
