package cardinality

import (
	"encoding/binary"
	"hash/crc32"
	"testing"
	"time"

	"tsdb/internal/model"
)

// sealed returns a file with the right checksum.
func sealed(b []byte) []byte {
	body := b[: len(b)-4 : len(b)-4]
	return binary.LittleEndian.AppendUint32(append([]byte(nil), body...), crc32.Checksum(body, castagnoli))
}

func TestNextDay(t *testing.T) {
	const today = 20_000
	now := time.Unix(today*86_400+12*3600, 0)
	ago := func(d time.Duration) int64 { return now.Add(-d).Unix() }
	data := State{Day: today - 1, Basis: 1}
	counted := Info{Day: today - 1, Basis: 1, Counted: ago(time.Hour)}
	running := State{Day: today, Basis: 1, Moving: true}
	runningCounted := Info{Day: today, Running: true, Basis: 1, Counted: ago(10 * time.Minute)}
	with := func(s State, change func(*State)) State { change(&s); return s }
	info := func(i Info, change func(*Info)) Info { change(&i); return i }
	for _, c := range []struct {
		what   string
		kept   []Info
		states []State
		took   time.Duration
		want   int64 // 0 = none
	}{
		{"nothing", nil, nil, 0, 0},
		{"a day without data", nil, []State{{Day: today - 1, Empty: true}}, 0, 0},
		{"the newest that was never counted", nil, []State{{Day: today - 3}, {Day: today - 2}, {Day: today - 1, Empty: true}}, 0, today - 2},
		{"older than what is kept, or in the future", nil, []State{{Day: today - MaxDays}, {Day: today + 1}}, 0, 0},
		{"counted, unchanged", []Info{counted}, []State{data}, 0, 0},
		{"changed an hour ago", []Info{counted}, []State{with(data, func(s *State) { s.Basis = 2 })}, 0, 0},
		{"changed long ago", []Info{info(counted, func(i *Info) { i.Counted = ago(6 * time.Hour) })}, []State{with(data, func(s *State) { s.Basis = 2 })}, 0, today - 1},
		{"late samples", []Info{info(counted, func(i *Info) { i.Counted = ago(6 * time.Hour) })}, []State{with(data, func(s *State) { s.Moving = true })}, 0, today - 1},
		{"a deletion", []Info{counted}, []State{with(data, func(s *State) { s.Deletion = 3 })}, 0, today - 1},
		{"a deletion that has left", []Info{info(counted, func(i *Info) { i.Deletion = 3 })}, []State{data}, 0, 0},
		{"it has ended since", []Info{info(counted, func(i *Info) { i.Running = true })}, []State{data}, 0, today - 1},
		{"all has expired", []Info{info(counted, func(i *Info) { i.Counted = ago(9 * time.Hour) })}, []State{{Day: today - 1, Basis: 2, Empty: true, Expired: true}}, 0, 0},
		{"all was deleted", []Info{info(counted, func(i *Info) { i.Counted = ago(9 * time.Hour) })}, []State{{Day: today - 1, Basis: 2, Empty: true}}, 0, today - 1},
		{"counted in the future", []Info{info(counted, func(i *Info) { i.Counted = now.Unix() + 60 })}, []State{data}, 0, today - 1},
		{"the running day, cheap", []Info{runningCounted}, []State{running}, time.Second, today},
		{"the running day, dear", []Info{runningCounted}, []State{running}, 13 * time.Second, 0},
		{"the running day, just now", []Info{info(runningCounted, func(i *Info) { i.Counted = ago(time.Minute) })}, []State{running}, 0, 0},
		{"the running day, very dear", []Info{info(runningCounted, func(i *Info) { i.Counted = ago(6 * time.Hour) })}, []State{running}, time.Hour, today},
		{"the running day at rest", []Info{runningCounted}, []State{with(running, func(s *State) { s.Moving = false })}, 0, 0},
		{"due before aged", []Info{{Day: today - 5, Basis: 9}, {Day: today - 2, Basis: 9}}, []State{{Day: today - 2}, {Day: today - 4}, {Day: today - 5}}, 0, today - 4},
	} {
		day, ok := Next(c.kept, c.states, today, now, c.took)
		if ok != (c.want != 0) || ok && day != c.want {
			t.Errorf("%s: %d, %t, want %d", c.what, day, ok, c.want)
		}
	}
	if n := Waiting([]Info{counted}, []State{data, {Day: today - 2}, {Day: today - 3, Empty: true}, running}, today); n != 2 {
		t.Errorf("%d days wait", n)
	}
}

func TestDayOfTimes(t *testing.T) {
	for ms, want := range map[int64]int64{0: -1, 1: 0, model.DayMs: 0, model.DayMs + 1: 1, -model.DayMs: -2, 1 - model.DayMs: -1} {
		if got := DayOf(ms); got != want || !Range(got).Contains(ms) {
			t.Errorf("%d is of day %d, want %d", ms, got, want)
		}
	}
	if got := Date(20_786); got != "2026-11-29" {
		t.Errorf("day 20786 is %s", got)
	}
}
