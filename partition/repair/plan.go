package repair

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"syscall"
	"time"

	"tsdb/partition/block"
	"tsdb/partition/format"
	"tsdb/partition/manifest"
)

// repairFile is the description of a block file in its footer.
type repairFile struct {
	block.Info
	keys     manifest.KeyRange
	repeated block.Repeated
	days     []int64 // of which a block of a rollup has rows, if the MANIFEST is to be rebuilt
	err      error   // reason it cannot be read; then only Name is set
}

// seedCheck is the result of comparing a seed with the series of the readable
// blocks.
type seedCheck struct {
	series int      // compared
	wrong  []string // blocks with a series whose identity does not follow from the seed
}

// repairInput holds all inputs of a plan.
type repairInput struct {
	copies  []manifest.Copy
	salvage *manifest.Salvaged
	files   []repairFile // by name
	checks  map[uint64]seedCheck

	walEdit         uint64 // highest edit that the WAL names
	walGens         []uint64
	walHigh         High
	holds           func(lo, hi uint64) bool // reports whether the WAL holds all of these generations
	walDamaged      bool                     // frames of the WAL are missing or cannot be read
	nowMs           int64
	assumeNoDeletes bool
}

// Plan describes the steps of a repair and the reasons for them. It is made by a
// pure function of its inputs, so that it can be shown before it is applied.
type Plan struct {
	Lines   []string // description of the plan, in order
	Needed  bool     // there is something to do
	Refused string   // reason that nothing can be done; "" if it can

	state *manifest.State
	write []string // copies to write; an existing file is kept aside
}

func (p *Plan) say(format string, args ...any) {
	p.Lines = append(p.Lines, fmt.Sprintf(format, args...))
}

func (p *Plan) refuse(format string, args ...any) *Plan {
	p.Needed, p.Refused, p.state, p.write = true, fmt.Sprintf(format, args...), nil, nil
	return p
}

// planRepair plans the repair of a MANIFEST: from a readable copy, from intact
// records of both copies, or from those and the footers of the blocks.
func planRepair(in *repairInput) *Plan {
	p := &Plan{}
	for _, c := range in.copies {
		p.say("%s", describeCopy(&c))
	}
	best, err := manifest.NewestCopy(in.copies)
	switch {
	case err == nil && best.State.Number >= in.walEdit:
		return p.restore(in, best)
	case err == nil:
		p.say("the log names edit %d, so edits after %d are lost", in.walEdit, best.State.Number)
	case !manifest.IsGone(err):
		return p.refuse("%v", err)
	}
	return p.rebuild(in)
}

func describeCopy(c *manifest.Copy) string {
	switch {
	case c.Err == nil && c.Torn.Bytes > 0:
		return fmt.Sprintf("%s: ends at edit %d, %d bytes behind it are no edit", c.Name, c.State.Number, c.Torn.Bytes)
	case c.Err == nil:
		return fmt.Sprintf("%s: readable, ends at edit %d", c.Name, c.State.Number)
	case c.Damaged():
		return fmt.Sprintf("%s: %v", c.Name, c.Err)
	}
	return fmt.Sprintf("%s: missing", c.Name)
}

// restore plans to rewrite copies that are damaged or outdated from the best one.
func (p *Plan) restore(in *repairInput, best *manifest.Copy) *Plan {
	for _, name := range in.checks[best.State.Seed].wrong {
		if _, listed := best.State.Blocks[name]; listed {
			return p.refuse("the identity seed of %s does not give the identities in %s: it belongs to another database", best.Name, name)
		}
	}
	for _, c := range in.copies {
		if c.Damaged() || c.Name == format.ManifestName && best.Name != format.ManifestName {
			p.write = append(p.write, c.Name)
			p.say("write %s anew from %s: edit %d, %d blocks, nothing is lost", c.Name, best.Name, best.State.Number, len(best.State.Blocks))
		}
	}
	if len(p.write) == 0 {
		p.say("MANIFEST: nothing to do")
		return p
	}
	p.Needed, p.state = true, best.State
	return p
}

// rebuild plans from intact records and footers.
func (p *Plan) rebuild(in *repairInput) *Plan {
	p.Needed, p.write = true, manifest.CopyNames[:]
	base, seed, ok := chooseSeed(in)
	if !ok {
		why := "no snapshot record of it can be read, and the identity seed is nowhere else"
		for _, seed := range slices.Sorted(maps.Keys(in.checks)) {
			if wrong := in.checks[seed].wrong; len(wrong) > 0 {
				why = fmt.Sprintf("the identity seed found, %016x, does not give the identities in %s", seed, wrong[0])
			}
		}
		return p.refuse("the MANIFEST cannot be rebuilt: %s; put a copy of MANIFEST or MANIFEST.2 from a backup of this database back", why)
	}
	p.say("identity seed %016x: confirmed by %d series of the blocks", seed, in.checks[seed].series)
	if base == nil {
		base = manifest.NewState(seed, in.nowMs)
		p.say("no snapshot record is intact: blocks are listed by their footers")
	} else {
		p.say("intact records lead to edit %d of %s: %d blocks", base.Number, stampMs(base.WallMs), len(base.Blocks))
	}
	later := in.salvage.Later(base.Number)
	last := max(in.walEdit, in.salvage.Highest)
	if f := in.newestFooter(seed); f != nil {
		last = max(last, f.repeated.Edit)
	}
	switch {
	case base.Number >= last && base.Number > 0:
		p.say("no later edit is named anywhere: nothing is lost")
		p.state = base
		return p
	case last > base.Number:
		p.say("%d of the edits %d to %d are lost", last-base.Number-uint64(len(later)), base.Number+1, last)
	default:
		p.say("all edits are lost")
	}
	return p.fromFooters(in, base, later, last)
}

// seeds returns the identity seeds of damaged snapshots and of the footers of blocks.
func (in *repairInput) seeds() []uint64 {
	seeds := slices.Clone(in.salvage.Seeds)
	for _, f := range in.files {
		if seed := f.repeated.Seed; seed != 0 && !slices.Contains(seeds, seed) {
			seeds = append(seeds, seed)
		}
	}
	return seeds
}

// chooseSeed returns the newest state of intact records and its seed or, if there is
// none, a seed of a damaged snapshot or of a footer that series confirm.
func chooseSeed(in *repairInput) (*manifest.State, uint64, bool) {
	for _, s := range in.salvage.Chains {
		if len(in.checks[s.Seed].wrong) == 0 {
			return s, s.Seed, true
		}
	}
	for _, seed := range in.seeds() {
		if c := in.checks[seed]; len(c.wrong) == 0 && c.series > 0 {
			return nil, seed, true
		}
	}
	return nil, 0, false
}

// fromFooters plans a state from base, which lacks edits, the intact edits later
// than a gap, and the blocks on disk.
func (p *Plan) fromFooters(in *repairInput, base *manifest.State, later []*manifest.Edit, last uint64) *Plan {
	r := rebuilding{plan: p, in: in, files: map[string]*repairFile{}, known: base, published: map[string]bool{}, inLog: map[string]bool{}}
	for i := range in.files {
		r.files[in.files[i].Name] = &in.files[i]
	}
	r.applyKnown(later)
	r.chooseBlocks()
	if merge, input := r.unresolved(); merge != "" {
		return p.refuse("%s cannot be read, and it is not known whether %s, which was made from it, had taken its place", input, merge)
	}
	if f := r.unread(); f != nil {
		return p.refuse("%s cannot be read now, and nothing else tells what it holds: %v; repeat the repair, or move the file away, which gives up what it holds", f.Name, f.err)
	}
	low, lost := r.walLow()
	if len(lost) > 0 {
		return p.refuse("generation %d of the log is older than the newest blocks, and no block holds it", lost[0])
	}
	s := r.known.Clone()
	s.Number, s.WallMs, s.WALLow = last+1, in.nowMs, low
	s.HighGen = max(s.HighGen, in.walHigh.Generation, low)
	s.HighLSN, s.HighSegment = max(s.HighLSN, in.walHigh.LSN), max(s.HighSegment, in.walHigh.Segment)
	r.addRepeated(s)
	r.addRules(s, base.Number, later)
	r.addRollups(s)
	r.standIn(s)
	s.Blocks = r.listed
	for _, b := range s.Blocks {
		s.HighGen = max(s.HighGen, b.MaxGen)
	}
	if err := s.Check(); err != nil {
		return p.refuse("the blocks contradict each other: %v", err)
	}
	r.describeBlocks(base)
	p.say("the log is replayed from generation %d on", low)
	p.describeFields(s, base)
	switch {
	case r.deletionsKnown(base, later, last, low):
		p.say("deletions: %d known; the lost edits recorded no other, or the log has them", len(s.Tombstones))
	case r.deletionsInFooters(low):
		p.say("deletions: %d known; the footers of blocks repeat those of lost edits, or the log has them", len(s.Tombstones))
	case in.assumeNoDeletes:
		p.say("deletions: %d known; it is taken that the lost edits recorded none", len(s.Tombstones))
	default:
		after := stampMs(base.WallMs)
		if base.Number == 0 {
			after = "the last merge, whose footer repeats the deletions before it"
		}
		return p.refuse("the lost edits may have recorded deletions, and what was deleted would come back: "+
			"if nothing was deleted after %s, repeat with --assume-no-deletes", after)
	}
	p.state = s
	return p
}

// describeFields adds the lines about everything except blocks.
func (p *Plan) describeFields(s, base *manifest.State) {
	if s.Floor == manifest.NoFloor {
		p.say("retention floor: none is known; the next start sets it, and until then samples that had expired may show")
	} else {
		p.say("retention floor: %s, or later: the next start sets it", stampMs(s.Floor))
	}
	for _, name := range slices.Sorted(maps.Keys(s.Offsets)) {
		p.say("source %q: goes on at offset %d, as of edit %d or later", name, s.Offsets[name], base.Number)
	}
}

func stampMs(ms int64) string { return time.UnixMilli(ms).UTC().Format(time.RFC3339) }

// High holds the highest numbers found in the WAL.
type High struct{ Generation, LSN, Segment uint64 }

// rebuilding selects the blocks of a database.
type rebuilding struct {
	plan      *Plan
	in        *repairInput
	files     map[string]*repairFile
	known     *manifest.State // base with the later intact edits applied
	published map[string]bool // names that an edit has added or dropped
	listed    map[string]manifest.Listed
	inLog     map[string]bool // cuts that the WAL can reproduce
}

// applyKnown applies the intact edits after a gap. Tombstones that they drop are
// kept, because blocks that a lost merge rewrote may be listed again.
func (r *rebuilding) applyKnown(later []*manifest.Edit) {
	s := r.known
	for name := range s.Blocks {
		r.published[name] = true
	}
	for _, rec := range later {
		e := *rec
		e.DropTombstones = nil
		e.AddTombstones = slices.DeleteFunc(slices.Clone(e.AddTombstones), func(t manifest.Tombstone) bool {
			return slices.ContainsFunc(s.Tombstones, func(o manifest.Tombstone) bool { return o.ID == t.ID })
		})
		for _, b := range e.Add {
			r.published[b.Name] = true
		}
		s = s.Apply(e)
	}
	r.known = s
}

// chooseBlocks selects the blocks to list. The output of a merge that no known edit
// published is listed only if one of its inputs is gone, because files are deleted
// only after the merge is published. Otherwise its inputs are listed, which hold the
// same samples. Blocks that a listed block was made from, or covers, are gone too;
// since that may cause further outputs to be listed, it repeats.
func (r *rebuilding) chooseBlocks() {
	counts := map[string]bool{} // unknown merges that were published
	for {
		r.list(counts)
		before := len(counts)
		for _, f := range r.in.files {
			if f.err == nil && len(f.Inputs) > 0 && !r.published[f.Name] && slices.ContainsFunc(f.Inputs, r.isGone) {
				counts[f.Name] = true
			}
		}
		if len(counts) == before {
			return
		}
	}
}

// list lists the known raw blocks, unknown cuts and the merges in counts, except for
// blocks whose data is in others of them.
func (r *rebuilding) list(counts map[string]bool) {
	r.listed = map[string]manifest.Listed{}
	for name, b := range r.known.Blocks {
		if b.Tier == block.Raw {
			r.listed[name] = b // even if it is missing: then it is quarantined
		}
	}
	for _, f := range r.in.files {
		_, dropped := r.known.Dropped[f.Name]
		if f.err != nil || f.Tier != block.Raw || dropped || r.published[f.Name] || len(f.Inputs) > 0 && !counts[f.Name] {
			continue
		}
		r.listed[f.Name] = manifest.Listed{Info: f.Info, Keys: f.keys, OldestMs: r.in.nowMs, NewestMs: r.in.nowMs}
	}
	var inputs []string
	for _, b := range r.listed {
		inputs = append(inputs, b.Inputs...)
	}
	for _, name := range inputs {
		delete(r.listed, name)
	}
	blocks := slices.SortedFunc(maps.Values(r.listed), func(a, b manifest.Listed) int { return block.CompareInfo(a.Info, b.Info) })
	for _, b := range blocks {
		if slices.ContainsFunc(blocks, func(o manifest.Listed) bool { return covers(&o, &b) }) {
			delete(r.listed, b.Name)
		}
	}
}

// isGone reports whether a block has been dropped: its file is missing, an edit
// dropped it, or a listed block holds all of it. The output of a merge that is not
// listed because its inputs are listed is not gone.
func (r *rebuilding) isGone(name string) bool {
	f := r.files[name]
	_, dropped := r.known.Dropped[name]
	_, listed := r.listed[name]
	switch {
	case f == nil || dropped:
		return true
	case listed:
		return false
	case f.err != nil:
		return slices.ContainsFunc(slices.Collect(maps.Values(r.listed)), func(o manifest.Listed) bool { return slices.Contains(o.Inputs, name) })
	case len(f.Inputs) > 0 && !r.published[name]:
		return slices.ContainsFunc(f.Inputs, r.isGone)
	}
	return true
}

// unresolved returns a merge whose output is not listed although one of its inputs
// cannot be read: listing the inputs would lose samples, and so might listing the
// output, which may be one of several.
func (r *rebuilding) unresolved() (merge, input string) {
	for _, f := range r.in.files {
		if _, listed := r.listed[f.Name]; listed || f.err != nil || r.published[f.Name] || slices.ContainsFunc(f.Inputs, r.isGone) {
			continue
		}
		for _, in := range f.Inputs {
			if r.files[in].err != nil {
				return f.Name, in
			}
		}
	}
	return "", ""
}

// unread returns a block that would not be listed because reading it failed. That may
// pass, other than damage in it, and the next start would put the block aside.
func (r *rebuilding) unread() *repairFile {
	for i := range r.in.files {
		f := &r.in.files[i]
		_, known := r.known.Blocks[f.Name]
		if errors.Is(f.err, syscall.EIO) && !known && !r.isGone(f.Name) {
			return f
		}
	}
	return nil
}

// covers reports whether all of b was merged into a, through blocks that no longer
// exist: a has a higher level and is not older, or has the same level and spans more
// generations, and may hold the same series.
func covers(a, b *manifest.Listed) bool {
	switch {
	case a.Name == b.Name || a.Level < b.Level || a.Level == block.L0:
		return false
	case b.Level == block.L0:
		return b.MinGen <= a.MaxGen
	case !a.SamePartition(b.Key) || a.Keys.Disjoint(b.Keys):
		return false
	case a.Level > b.Level:
		return b.MinGen <= a.MaxGen
	}
	return a.MinGen <= b.MinGen && a.MaxGen >= b.MaxGen && a.MaxGen-a.MinGen > b.MaxGen-b.MinGen
}

// walLow removes the cuts that the WAL can reproduce from the list, and returns the
// lowest generation that the WAL must keep. lost are the generations of the WAL
// below it that are in no block.
func (r *rebuilding) walLow() (low uint64, lost []uint64) {
	low = r.known.WALLow
	var cuts []manifest.Listed // cuts that no known edit added
	for _, b := range r.listed {
		if b.Level == block.L0 && !r.published[b.Name] {
			cuts = append(cuts, b)
		} else {
			low = max(low, b.MaxGen+1)
		}
	}
	// Newest first: a cut that the WAL lacks was published, and so were all
	// older ones.
	slices.SortFunc(cuts, func(a, b manifest.Listed) int { return cmp.Compare(b.MinGen, a.MinGen) })
	for _, b := range cuts {
		if b.MinGen >= low && r.in.holds(b.MinGen, b.MaxGen) {
			delete(r.listed, b.Name)
			r.inLog[b.Name] = true
			continue
		}
		low = max(low, b.MaxGen+1)
	}
	for _, g := range r.in.walGens {
		inBlock := func(b manifest.Listed) bool { return b.MinGen <= g && g <= b.MaxGen }
		if g >= r.known.WALLow && g < low && !slices.ContainsFunc(slices.Collect(maps.Values(r.listed)), inBlock) {
			lost = append(lost, g)
		}
	}
	return low, lost
}

// deletionsKnown reports whether every deletion that a lost edit may have recorded
// is in a known edit or in the WAL. Only the edit of a cut records deletions. No cut
// was lost between two known edits if a later cut begins with the generation that
// the WAL had to keep before. All deletions since the low end of the WAL are in the
// WAL, if that end still exists.
func (r *rebuilding) deletionsKnown(base *manifest.State, later []*manifest.Edit, last, low uint64) bool {
	inLog := func(from uint64) bool {
		return from == low && base.Number > 0 && !r.in.walDamaged && slices.Contains(r.in.walGens, from)
	}
	number, from := base.Number, base.WALLow
	for i, rec := range later {
		if rec.Number > number+1 && !cutBegins(later[i:], from) && !inLog(from) {
			return false
		}
		number = rec.Number
		if rec.WALLow != nil {
			from = *rec.WALLow
		}
	}
	return number >= last || inLog(from)
}

// cutBegins reports whether one of edits adds a cut that begins at generation gen.
func cutBegins(edits []*manifest.Edit, gen uint64) bool {
	for _, rec := range edits {
		if slices.ContainsFunc(rec.Add, func(b block.Info) bool { return b.Level == block.L0 && b.MinGen == gen }) {
			return true
		}
	}
	return false
}

// describeBlocks adds a line for each block: that it is listed, or the reason it is
// not.
func (r *rebuilding) describeBlocks(base *manifest.State) {
	p := r.plan
	for _, name := range slices.Sorted(maps.Keys(r.listed)) {
		f := r.files[name]
		from := "by its footer"
		if _, ok := base.Blocks[name]; ok {
			from = "as before"
		} else if r.published[name] {
			from = "as a later edit says"
		}
		switch {
		case f == nil:
			p.say("%s: listed %s, but missing: queries over its time warn", name, from)
		case f.err != nil:
			p.say("%s: listed %s, but unreadable: queries over its time warn: %v", name, from, f.err)
		default:
			p.say("%s: listed %s, %d series, %d samples", name, from, f.Series, f.Samples)
		}
	}
	for _, f := range r.in.files {
		if _, listed := r.listed[f.Name]; listed {
			continue
		}
		_, dropped := r.known.Dropped[f.Name]
		switch {
		case dropped:
			p.say("%s: not listed, an edit has dropped it", f.Name)
		case f.err != nil:
			p.say("%s: not listed, it cannot be read: %v", f.Name, f.err)
		case len(f.Inputs) > 0 && !r.published[f.Name] && !slices.ContainsFunc(f.Inputs, r.isGone):
			p.say("%s: not listed, all it was made from is there", f.Name)
		case f.Tier != block.Raw:
			p.say("%s: not listed, no day of the rollup needs it", f.Name)
		case r.inLog[f.Name]:
			p.say("%s: not listed, the log holds all of it", f.Name)
		default:
			p.say("%s: not listed, a listed block holds all of it", f.Name)
		}
	}
}
