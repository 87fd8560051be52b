package wal

import (
	"cmp"
	"errors"
	"fmt"
	iofs "io/fs"
	"runtime"
	"slices"

	"golang.org/x/sync/errgroup"

	"tsdb/internal/panics"
	"tsdb/internal/vfs"
)

// Recovery is what Scan found in a log's directory. It is for one goroutine.
type Recovery struct {
	fs       vfs.FS
	dir      string
	o        Options
	segments []*scanned // in the order of their ids
	report   Report
	highest  Pos
	whole    map[uint64]bool // generations of which no frame is missing
	list     segmentList     // which segments hold durable frames
	lost     []LostSegment   // of those, whatever their generation
	low      uint64          // generations below it were released, says the log
	repaired bool
	replayed int64 // bytes
}

// Report says what Scan found.
type Report struct {
	Segments int    // with frames
	Frames   uint64 // kept
	Bytes    int64  // of those
	FirstLSN uint64 // of those; 0 = there are none
	LastLSN  uint64
	Synced   uint64 // highest LSN that a frame, or the list of segments, says was durable
	Edit     uint64 // highest manifest edit that a frame says was durable
	Torn     Torn
	Damage   []Damage // at most maxDamages of them
	Damages  int      // how many there were
	ListErr  error    // why the list of segments is not used, nil if it is
}

// maxDamages bounds the list of damages in a report.
const maxDamages = 1000

// Torn is the end of the log that was being written when the machine stopped:
// nothing in it was acknowledged.
type Torn struct {
	File     string // where it begins, "" = there is none
	Offset   int64
	Bytes    int64  // in all files
	FirstLSN uint64 // the first LSN that is lost
	LastLSN  uint64 // the last one seen in it, 0 = none could be read
}

// Damage is a range of a segment that held durable frames and cannot be read,
// or frames that are missing altogether.
type Damage struct {
	File     string
	Offset   int64
	Bytes    int64  // 0 if only the LSNs show that something is missing
	FirstLSN uint64 // lost LSNs, inclusive; 0 = not known
	LastLSN  uint64
}

func (d Damage) String() string {
	switch {
	case d.LastLSN == 0:
		return fmt.Sprintf("%d bytes are no frames", d.Bytes)
	case d.FirstLSN == 0:
		return fmt.Sprintf("%d bytes are no frames, LSNs up to %d are lost", d.Bytes, d.LastLSN)
	case d.Bytes == 0:
		return fmt.Sprintf("LSNs %d to %d are lost", d.FirstLSN, d.LastLSN)
	}
	return fmt.Sprintf("%d bytes are no frames, LSNs %d to %d are lost", d.Bytes, d.FirstLSN, d.LastLSN)
}

// Scan reads all segments in dir and changes nothing. Damage is no error but
// part of the report; an error means that the files could not be read, or were
// written by a version of the program that this one does not know.
func Scan(fs vfs.FS, dir string, o Options) (*Recovery, error) {
	if err := o.Validate(); err != nil {
		return nil, fmt.Errorf("scan log %s: %w", dir, err)
	}
	r := &Recovery{fs: fs, dir: dir, o: o.withDefaults()}
	if err := r.readList(); err != nil {
		return nil, fmt.Errorf("scan log: %w", err)
	}
	names, err := fs.List(dir)
	if err != nil && !errors.Is(err, iofs.ErrNotExist) {
		return nil, fmt.Errorf("scan log: %w", err)
	}
	var ids []uint64
	for _, n := range names {
		if id, suffix, ok := parseName(n); ok {
			r.highest.Segment = max(r.highest.Segment, id)
			if suffix == segmentSuffix {
				ids = append(ids, id)
			}
		}
	}
	slices.Sort(ids)
	if r.segments, err = scanAll(fs, dir, ids); err != nil {
		return nil, fmt.Errorf("scan log: %w", err)
	}
	if err := r.compareList(); err != nil {
		return nil, fmt.Errorf("scan log: %w", err)
	}
	r.judge()
	return r, nil
}

// scanAll reads segments with as many goroutines as there are processors.
func scanAll(fs vfs.FS, dir string, ids []uint64) ([]*scanned, error) {
	segments := make([]*scanned, len(ids))
	var g errgroup.Group
	g.SetLimit(runtime.GOMAXPROCS(0))
	for i, id := range ids {
		g.Go(func() (err error) {
			defer panics.Catch(&err)
			segments[i], err = scanSegment(fs, dir, id)
			return err
		})
	}
	return segments, g.Wait()
}

// judge decides, from what all segments hold together, where the torn tail
// begins, what was released, and what of the rest is damage.
func (r *Recovery) judge() {
	rep := &r.report
	rep.Synced = r.list.synced
	for _, s := range r.segments {
		for _, run := range s.runs {
			rep.Synced, rep.Edit = max(rep.Synced, run.synced), max(rep.Edit, run.edit)
			r.highest.LSN, r.highest.Generation = max(r.highest.LSN, run.last), max(r.highest.Generation, run.gen)
		}
	}
	torn := r.tear()
	r.dropReleased()
	r.findDamage()
	for _, s := range r.segments {
		for _, run := range s.runs {
			if rep.FirstLSN == 0 {
				rep.FirstLSN = run.first
			}
			rep.LastLSN = run.last
			rep.Frames += run.frames
			rep.Bytes += run.end - run.off
		}
		if len(s.runs) > 0 {
			rep.Segments++
		}
	}
	if !torn {
		r.tearPartial()
	}
}

// tear looks for the first hole above the highest synced LSN and gives
// everything behind it to the torn tail.
func (r *Recovery) tear() (torn bool) {
	var prev *run
	for _, s := range r.segments {
		for i := range s.runs {
			lost := missing(prev, &s.runs[i])
			if torn = torn || lost.first > r.report.Synced; torn {
				r.tearSegment(s, i, lost)
				break
			}
			prev = &s.runs[i]
		}
	}
	return torn
}

// dropReleased forgets segments that are no longer needed. A crash can bring
// back any of them. What the torn tail says about that never took place.
func (r *Recovery) dropReleased() {
	for _, s := range r.segments {
		for _, run := range s.runs {
			r.low = max(r.low, run.low)
		}
	}
	r.segments = slices.DeleteFunc(r.segments, func(s *scanned) bool {
		return len(s.runs) > 0 && s.runs[0].gen < r.low
	})
}

// findDamage reports holes between the frames that are left.
func (r *Recovery) findDamage() {
	var prev *run
	var before []*scanned // the segment of prev and those without frames since then
	damaged := map[uint64]bool{}
	r.whole = map[uint64]bool{}
	for _, s := range r.segments {
		if len(s.runs) == 0 {
			before = append(before, s)
			continue
		}
		if !s.header {
			damaged[s.runs[0].gen] = true
			r.damage(s, Damage{Bytes: segmentHeaderBytes})
		}
		end := int64(segmentHeaderBytes)
		for i := range s.runs {
			run := &s.runs[i]
			lost := missing(prev, run)
			d := Damage{Offset: end, Bytes: run.off - end, FirstLSN: lost.first, LastLSN: lost.last}
			switch {
			case d.Bytes > 0:
				r.damage(s, d)
			case lost.last != 0:
				r.damageBefore(before, s, d)
			}
			r.judgeGenerations(prev, run, d, damaged)
			before, prev, end = nil, run, run.end
		}
		before = append(before, s)
	}
	for _, s := range r.segments {
		if s.expected > 0 && !s.damaged {
			d := Damage{Offset: s.end(), Bytes: s.expected - s.end(), LastLSN: s.expectedLSN}
			if n := len(s.runs); n > 0 {
				d.FirstLSN = s.runs[n-1].last + 1
			}
			r.damage(s, d)
		}
	}
}

// judgeGenerations notes what two neighbouring runs, with the damage d between
// them, say of their generations. A generation is whole once the start of the
// next one proves that nothing behind its last frame is missing: the end of the
// last generation of all may be torn.
func (r *Recovery) judgeGenerations(prev, next *run, d Damage, damaged map[uint64]bool) {
	if d.Bytes > 0 || d.LastLSN != 0 {
		if prev != nil {
			damaged[prev.gen] = true
		}
		if !next.start {
			damaged[next.gen] = true
		}
	}
	if prev != nil && prev.gen != next.gen && next.start {
		r.whole[prev.gen] = !damaged[prev.gen]
	}
}

// Holds reports whether the log has every frame of the generations from lo to
// hi: there is no damage in them, and they have come to their end.
func (r *Recovery) Holds(lo, hi uint64) bool {
	for gen := lo; r.whole[gen]; gen++ {
		if gen >= hi {
			return true
		}
	}
	return false
}

// damageBefore reports LSNs that are missing between two segments. They were at
// the end of the earlier one, in those between that hold nothing else, or in
// files that are gone.
func (r *Recovery) damageBefore(before []*scanned, next *scanned, d Damage) {
	for _, s := range before {
		s.damaged = s.damaged || len(s.runs) == 0
	}
	for _, s := range before {
		if n := s.remains(); n > 0 || len(s.runs) == 0 {
			d.Offset, d.Bytes = s.end(), n
			r.damage(s, d)
			return
		}
	}
	if n := len(before); n > 0 && before[n-1].id+1 == next.id {
		next = before[n-1]
		d.Offset = next.end()
	}
	r.damage(next, d)
}

// lsns is a range of LSNs, inclusive. last = 0: it is empty; first = 0: where it
// begins is not known.
type lsns struct{ first, last uint64 }

// missing returns the LSNs that were written between two runs and are not
// there. prev is nil for the first run of all, which begins a generation.
func missing(prev, next *run) lsns {
	last := next.first - 1
	if next.start {
		last = min(last, next.found)
	}
	switch {
	case prev == nil && next.start:
		return lsns{}
	case prev == nil:
		return lsns{0, last}
	case last <= prev.last:
		return lsns{}
	}
	return lsns{prev.last + 1, last}
}

func (r *Recovery) damage(s *scanned, d Damage) {
	s.damaged = true
	d.File = s.name
	if r.report.Damages++; len(r.report.Damage) < maxDamages {
		r.report.Damage = append(r.report.Damage, d)
	}
}

// tearSegment gives the runs of a segment from the i-th on to the torn tail.
func (r *Recovery) tearSegment(s *scanned, i int, lost lsns) {
	s.cut = segmentHeaderBytes
	if i > 0 {
		s.cut = s.runs[i-1].end
	}
	t := &r.report.Torn
	if t.File == "" {
		// The hole may be at the end of an earlier segment; what is cut begins
		// with the first frame behind it.
		t.File, t.Offset, t.FirstLSN = s.name, s.cut, lost.first
	}
	t.Bytes += s.end() - s.cut
	t.LastLSN = s.runs[len(s.runs)-1].last
	s.runs = s.runs[:i]
}

// tearPartial finds the remains of frames behind the last one of all. Behind
// it a segment is zeros, or stale if the file was used before; bytes that are
// neither are what a power cut left of the last commit.
func (r *Recovery) tearPartial() {
	i := len(r.segments) - 1
	for i > 0 && len(r.segments[i].runs) == 0 {
		i--
	}
	if i < 0 {
		return
	}
	for _, s := range r.segments[i:] {
		if s.partial != r.report.LastLSN+1 {
			s.partial = 0
		}
		n := s.remains()
		if n == 0 || s.expected > 0 { // those were acknowledged: it is damage
			continue
		}
		s.cut = s.end()
		t := &r.report.Torn
		if t.File == "" {
			t.File, t.Offset, t.FirstLSN = s.name, s.cut, r.report.LastLSN+1
		}
		t.Bytes += n
		t.LastLSN = s.partial
	}
}

// Report returns what was found.
func (r *Recovery) Report() Report { return r.report }

// Highest returns the highest numbers seen, those of the torn tail included.
func (r *Recovery) Highest() Pos { return r.highest }

// Generations returns the numbers of the generations that have frames, rising.
func (r *Recovery) Generations() []uint64 {
	var gens []uint64
	for _, s := range r.segments {
		for _, run := range s.runs {
			if n := len(gens); n == 0 || gens[n-1] != run.gen {
				gens = append(gens, run.gen)
			}
		}
	}
	slices.Sort(gens)
	return slices.Compact(gens)
}

// closed returns the segments that must stay until their generation is
// released. A damaged one without a readable frame goes with the one before.
func (r *Recovery) closed() []closedSegment {
	var closed []closedSegment
	gen := uint64(0)
	for _, s := range r.segments {
		if n := len(s.runs); n > 0 {
			gen = s.runs[n-1].gen
		} else if !s.damaged {
			continue
		}
		closed = append(closed, closedSegment{id: s.id, gen: gen, bytes: s.end(), damaged: s.damaged})
	}
	return closed
}

// run of a segment that belongs to a generation, for Replay.
type piece struct {
	segment *scanned
	run     run
}

// pieces returns the runs of a generation in the order of their LSNs.
func (r *Recovery) pieces(gen uint64) []piece {
	var ps []piece
	for _, s := range r.segments {
		for _, run := range s.runs {
			if run.gen == gen {
				ps = append(ps, piece{s, run})
			}
		}
	}
	slices.SortFunc(ps, func(a, b piece) int { return cmp.Compare(a.run.first, b.run.first) })
	return ps
}
