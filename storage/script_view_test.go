package storage

import (
	"context"
	"fmt"
	"log/slog"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	commonmodel "github.com/prometheus/common/model"

	"tsdb/internal/model"
	"tsdb/partition/block"
	"tsdb/partition/compaction"
	"tsdb/partition/format"
	"tsdb/partition/manifest"
	"tsdb/storage/head"
)

// jobs returns the steps of the background work that scripts run by name. It
// and the functions below it are all that scripts use of the inside of a
// database.
func (s *script) jobs(args *scriptArgs) map[string]func(*strings.Builder) error {
	return map[string]func(*strings.Builder) error{
		"flush":   func(*strings.Builder) error { _, err := s.db.Flush(s.ctx); return err },
		"watch":   func(*strings.Builder) error { s.db.watchOnce(s.ctx); return nil },
		"merge":   func(b *strings.Builder) error { return s.merge(b, args.number("n"), args.has("final")) },
		"compact": func(*strings.Builder) error { _, err := s.db.Compact(s.ctx); return err },
		"retain":  func(*strings.Builder) error { return s.db.Retain(s.ctx) },
		"roll":    func(b *strings.Builder) error { return s.roll(b, args.number("n"), args.has("force")) },
		"sweep":   func(*strings.Builder) error { s.db.catalog.sweep(s.ctx); return nil },
	}
}

// merge does the merges that are due, or those to the final form, at most n
// unless it is 0.
func (s *script) merge(b *strings.Builder, n int, final bool) error {
	plan := func(blocks []compaction.Candidate, o compaction.PlanOptions) (compaction.Plan, bool) {
		choose := compaction.PlanMerge
		if final {
			choose = compaction.PlanFinal
		}
		p, ok := choose(blocks, o)
		if ok {
			fmt.Fprintf(b, "merge to %v: %s\n", p.Level, p.Reason)
		}
		return p, ok
	}
	const enough = 100 // a planner that never comes to an end fails the script
	for done := 0; n == 0 && done < enough || done < n; done++ {
		if worked, err := s.db.compactor.mergeNext(s.ctx, plan); err != nil || !worked {
			return err
		}
	}
	return nil
}

// roll does the steps of rollups that are due, at most n unless it is 0.
func (s *script) roll(b *strings.Builder, n int, force bool) error {
	for done := 0; n == 0 && done < 100 || done < n; done++ {
		if worked, err := s.db.roller.rollNext(s.ctx, force); err != nil || !worked {
			return err
		}
	}
	return nil
}

// rollups writes the status of the rollups.
func (s *script) rollups(b *strings.Builder) {
	st := s.db.RollupStatus()
	for _, t := range st.Tiers {
		fmt.Fprintf(b, "%s: %d days, samples stand in for %d, %d blocks; %d uncovered, %d dirty, %d with losses, behind %v\n", t.Tier, t.Days, t.StandInDays, t.Blocks,
			t.UncoveredDays, t.DirtyDays, t.LostDays, time.Duration(t.BehindSeconds*float64(time.Second)))
	}
	if st.LastError != "" {
		fmt.Fprintf(b, "failing: %s\n", st.LastError)
	}
}

// scriptState is what a script shows of a database.
type scriptState struct {
	number     uint64 // of the last edit
	walLow     uint64
	floor      int64
	blocks     []manifest.Listed
	tombstones []manifest.Tombstone // recorded ones and others
	recorded   int                  // of tombstones
	coverage   []manifest.Coverage
}

// state returns what the MANIFEST and the present view hold.
func (s *script) state() scriptState {
	m := s.db.manifest.State()
	pinned := s.db.views.pin()
	defer s.db.views.release(pinned)
	return scriptState{number: m.Number, walLow: m.WALLow, floor: m.Floor, blocks: m.Sorted(),
		tombstones: slices.Clone(pinned.tombstones), recorded: len(m.Tombstones), coverage: m.SortedCoverage()}
}

// heads calls f for the buffers of the head, the frozen one first.
func (s *script) heads(f func(name string, b *head.Buffer)) {
	pinned := s.db.views.pin()
	defer s.db.views.release(pinned)
	if pinned.frozen != nil {
		f("frozen", pinned.frozen)
	}
	f("active", pinned.active)
}

// view writes the layout of the database.
func (s *script) view(b *strings.Builder) {
	st := s.state()
	fmt.Fprintf(b, "log from generation %d", st.walLow)
	if st.floor != manifest.NoFloor {
		fmt.Fprintf(b, ", floor %s", scriptTime(st.floor))
	}
	fmt.Fprintln(b)
	s.heads(func(name string, h *head.Buffer) {
		stats := h.Stats()
		fmt.Fprintf(b, "%s head, generation %d", name, h.Generation())
		if stats.Samples > 0 {
			fmt.Fprintf(b, "  %s", contents(uint64(stats.Series), uint64(stats.Samples), stats.MinTime, stats.MaxTime))
		}
		fmt.Fprintln(b)
	})
	for _, x := range st.blocks {
		fmt.Fprintf(b, "%s\n", describeBlock(x.Info))
	}
	for i := range st.coverage {
		fmt.Fprintf(b, "%s\n", st.describeCoverage(&st.coverage[i]))
	}
	for i, t := range st.tombstones {
		fmt.Fprintf(b, "%s", describeTombstone(t))
		if i >= st.recorded {
			fmt.Fprintf(b, ", not recorded yet")
		}
		fmt.Fprintln(b)
	}
}

// writeChanges writes the blocks and marks that came and went between two
// states.
func writeChanges(b *strings.Builder, before, after scriptState) {
	has := func(list []manifest.Listed, name string) bool {
		return slices.ContainsFunc(list, func(l manifest.Listed) bool { return l.Name == name })
	}
	var dropped []string
	for _, x := range before.blocks {
		if !has(after.blocks, x.Name) {
			dropped = append(dropped, blockKey(x.Info))
		}
	}
	const shown = 10
	if n := len(dropped); n > shown {
		dropped = []string{fmt.Sprintf("%d blocks, %s to %s", n, dropped[0], dropped[n-1])}
	}
	for _, d := range dropped {
		fmt.Fprintf(b, "- %s\n", d)
	}
	for _, x := range after.blocks {
		if !has(before.blocks, x.Name) {
			fmt.Fprintf(b, "+ %s\n", describeBlock(x.Info))
		}
	}
	writeCoverage(b, &before, &after)
	recorded := func(s scriptState, t manifest.Tombstone) bool {
		return slices.ContainsFunc(s.tombstones[:s.recorded], func(o manifest.Tombstone) bool { return o.ID == t.ID })
	}
	for _, t := range before.tombstones[:before.recorded] {
		if !recorded(after, t) {
			fmt.Fprintf(b, "- %s\n", describeTombstone(t))
		}
	}
	for _, t := range after.tombstones[:after.recorded] {
		if !recorded(before, t) {
			fmt.Fprintf(b, "+ %s\n", describeTombstone(t))
		}
	}
	if before.floor != after.floor {
		fmt.Fprintf(b, "floor %s\n", scriptTime(after.floor))
	}
	if before.walLow != after.walLow {
		fmt.Fprintf(b, "log from generation %d\n", after.walLow)
	}
}

// writeCoverage writes the entries of rollups that changed between two states.
func writeCoverage(b *strings.Builder, before, after *scriptState) {
	lines := func(s *scriptState) (all []string) {
		for i := range s.coverage {
			all = append(all, s.describeCoverage(&s.coverage[i]))
		}
		return all
	}
	key := func(line string) string { return line[:strings.IndexByte(line, ':')] }
	was, is := lines(before), lines(after)
	for _, line := range was {
		if !slices.ContainsFunc(is, func(l string) bool { return key(l) == key(line) }) {
			fmt.Fprintf(b, "- %s\n", key(line))
		}
	}
	for _, line := range is {
		if !slices.Contains(was, line) {
			fmt.Fprintf(b, "+ %s\n", line)
		}
	}
}

// describeCoverage describes what a rollup has of a day.
func (s *scriptState) describeCoverage(c *manifest.Coverage) string {
	day := scriptTime(c.Day - 1)
	text := fmt.Sprintf("%v of %s: ", c.Tier, day[:strings.IndexByte(day, 'T')])
	i := slices.IndexFunc(s.blocks, func(l manifest.Listed) bool { return l.Name == c.Block })
	switch {
	case c.StandIn:
		text += "samples stand in"
	case c.Block == "":
		text += "no rows"
	case i >= 0:
		text += "in " + blockKey(s.blocks[i].Info)
	}
	text += fmt.Sprintf(", generations up to %d, deletions up to %d", c.Gen, c.Tombstone)
	for _, r := range c.Lost {
		text += ", lost " + scriptRange(r)
	}
	return text
}

// blockKey names a block by level, day, generations and ordinal.
func blockKey(x block.Info) string {
	key := x.Level.String()
	if x.Tier != block.Raw {
		key = x.Tier.String()
	}
	if x.Partition != block.NoPartition {
		day := scriptTime(x.Partition - 1)
		key += "/" + day[:strings.IndexByte(day, 'T')]
	}
	if x.Days > 1 {
		key += fmt.Sprintf("+%d", x.Days-1)
	}
	key += fmt.Sprintf("/%d-%d", x.MinGen, x.MaxGen)
	if x.Ordinal > 0 {
		key += fmt.Sprintf("/%d", x.Ordinal)
	}
	return key
}

func describeBlock(x block.Info) string {
	return fmt.Sprintf("%s  %s", blockKey(x), contents(x.Series, x.Samples, x.MinTime, x.MaxTime))
}

func contents(series, samples uint64, first, last int64) string {
	return fmt.Sprintf("%d series, %d samples, %s to %s", series, samples, scriptTime(first), scriptTime(last))
}

func describeTombstone(t manifest.Tombstone) string {
	return fmt.Sprintf("deletion %d of generation %d: %s %s", t.ID, t.Gen, writeSelector(t.Matchers), scriptRange(t.Range))
}

// query writes the samples of series.
func (s *script) query(args *scriptArgs, b *strings.Builder) {
	view := s.pinned
	if !args.has("pinned") {
		now, err := s.db.View()
		args.must(err)
		defer now.Release()
		view = now
	}
	lines := strings.Split(args.d.Input, "\n")
	if args.d.Input == "" {
		lines = []string{`{__name__=~".+"}`}
	}
	for _, line := range lines {
		ms, tr, err := parseSelection(line)
		args.must(err)
		set, err := view.Select(s.ctx, model.DefaultTenant, tr, ms...)
		if err != nil {
			s.report(b, err)
			continue
		}
		if set.Len() == 0 {
			fmt.Fprintf(b, "nothing\n")
		}
		for i := range set.Len() {
			var samples model.Samples
			if err := set.At(i).Samples(s.ctx, tr, &samples); err != nil {
				s.report(b, err)
				continue
			}
			fmt.Fprintf(b, "%s %s\n", seriesText(set.At(i)), writeSamples(&samples))
		}
		for _, w := range set.Warnings() {
			fmt.Fprintf(b, "warning: %v\n", w)
		}
	}
}

// seriesText writes a series as PromQL does.
func seriesText(s *Series) string {
	name := s.Labels.Get("__name__")
	if rest := s.Labels.DropReserved(func(n string) bool { return n == commonmodel.MetricNameLabel }); rest.Len() > 0 {
		name += strings.ReplaceAll(rest.String(), ", ", ",")
	}
	return name
}

// files writes the names of the files of blocks.
func (s *script) files(b *strings.Builder) {
	dirs := []string{format.L0Dir}
	days, err := s.mem.List("data/" + format.RawDir)
	s.report(b, err)
	for _, day := range days {
		dirs = append(dirs, path.Join(format.RawDir, day))
	}
	dirs = append(dirs, format.LostFoundDir)
	for _, d := range dirs {
		names, err := s.mem.List("data/" + d)
		s.report(b, err)
		for _, name := range names {
			fmt.Fprintf(b, "%s/%s\n", d, name)
		}
	}
	if b.Len() == 0 {
		b.WriteString("none\n")
	}
}

// eventLog keeps the reasons that the database logs.
type eventLog struct {
	mu   sync.Mutex
	list []string
}

func (e *eventLog) logger() *slog.Logger { return slog.New(reasonHandler{e}) }

// writeTo writes and forgets the events.
func (e *eventLog) writeTo(b *strings.Builder) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, line := range e.list {
		fmt.Fprintln(b, line)
	}
	e.list = nil
}

func (e *eventLog) drop() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.list = nil
}

// reasonHandler takes the reason of a cut from the log records. It leaves the
// other records alone: their wording is not the scripts' business.
type reasonHandler struct{ events *eventLog }

func (h reasonHandler) Enabled(context.Context, slog.Level) bool { return true }
func (h reasonHandler) WithAttrs([]slog.Attr) slog.Handler       { return h }
func (h reasonHandler) WithGroup(string) slog.Handler            { return h }
func (h reasonHandler) Handle(_ context.Context, r slog.Record) error {
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == "reason" && strings.HasPrefix(r.Message, "cut") {
			h.events.mu.Lock()
			defer h.events.mu.Unlock()
			h.events.list = append(h.events.list, "cut: "+a.Value.String())
		}
		return true
	})
	return nil
}
