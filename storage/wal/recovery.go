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
	"tsdb/storage/log"
)

// Recovery is the result of Scan. It is not safe for concurrent use.
type Recovery struct {
	fs       vfs.FS
	dir      string
	o        Options
	segments []*scannedSegment // in the order of their ids
	report   log.Report
	highest  log.Pos
	complete map[uint64]bool // generations of which no frame is missing
	list     segmentList     // segments that hold durable frames
	lost     []lostSegment   // listed segments that are lost, of any generation
	low      uint64          // generations below it were released, according to the log
	repaired bool
	replayed int64 // bytes
}

// maxDamages bounds the list of damages in a report.
const maxDamages = 1000

// Scan reads all segments in dir and changes nothing. Damage is not an error
// but part of the report; an error means that the files could not be read or have
// an unknown version.
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
func scanAll(fs vfs.FS, dir string, ids []uint64) ([]*scannedSegment, error) {
	segments := make([]*scannedSegment, len(ids))
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

// judge determines, from the frames of all segments, the start of the torn tail, the
// released segments, and the damage in the remaining ones.
func (r *Recovery) judge() {
	rep := &r.report
	rep.Synced = r.list.synced
	for _, s := range r.segments {
		for _, ext := range s.extents {
			rep.Synced, rep.Edit = max(rep.Synced, ext.synced), max(rep.Edit, ext.edit)
			r.highest.LSN, r.highest.Generation = max(r.highest.LSN, ext.last), max(r.highest.Generation, ext.gen)
		}
	}
	torn := r.tear()
	r.dropReleased()
	r.findDamage()
	for _, s := range r.segments {
		for _, ext := range s.extents {
			if rep.FirstLSN == 0 {
				rep.FirstLSN = ext.first
			}
			rep.LastLSN = ext.last
			rep.Frames += ext.frames
			rep.Bytes += ext.end - ext.off
		}
		if len(s.extents) > 0 {
			rep.Segments++
		}
	}
	if !torn {
		r.tearPartial()
	}
}

// tear finds the first hole above the highest synced LSN and moves all frames after
// it to the torn tail.
func (r *Recovery) tear() (torn bool) {
	var prev *extent
	for _, s := range r.segments {
		for i := range s.extents {
			lost := missing(prev, &s.extents[i])
			if torn = torn || lost.first > r.report.Synced; torn {
				r.tearSegment(s, i, lost)
				break
			}
			prev = &s.extents[i]
		}
	}
	return torn
}

// dropReleased drops segments that are no longer needed; a crash can bring removed
// ones back. Releases recorded in the torn tail do not count.
func (r *Recovery) dropReleased() {
	for _, s := range r.segments {
		for _, ext := range s.extents {
			r.low = max(r.low, ext.low)
		}
	}
	r.segments = slices.DeleteFunc(r.segments, func(s *scannedSegment) bool {
		return len(s.extents) > 0 && s.extents[0].gen < r.low
	})
}

// findDamage reports holes between the remaining frames.
func (r *Recovery) findDamage() {
	var prev *extent
	var before []*scannedSegment // the segment of prev and those without frames after it
	damaged := map[uint64]bool{}
	r.complete = map[uint64]bool{}
	for _, s := range r.segments {
		if len(s.extents) == 0 {
			before = append(before, s)
			continue
		}
		if !s.header {
			damaged[s.extents[0].gen] = true
			r.damage(s, log.Damage{Bytes: segmentHeaderBytes})
		}
		end := int64(segmentHeaderBytes)
		for i := range s.extents {
			ext := &s.extents[i]
			lost := missing(prev, ext)
			d := log.Damage{Offset: end, Bytes: ext.off - end, FirstLSN: lost.first, LastLSN: lost.last}
			switch {
			case d.Bytes > 0:
				r.damage(s, d)
			case lost.last != 0:
				r.damageBefore(before, s, d)
			}
			r.judgeGenerations(prev, ext, d, damaged)
			before, prev, end = nil, ext, ext.end
		}
		before = append(before, s)
	}
	for _, s := range r.segments {
		if s.expected > 0 && !s.damaged {
			d := log.Damage{Offset: s.end(), Bytes: s.expected - s.end(), LastLSN: s.expectedLSN}
			if n := len(s.extents); n > 0 {
				d.FirstLSN = s.extents[n-1].last + 1
			}
			r.damage(s, d)
		}
	}
}

// judgeGenerations records which generations are damaged or complete, given two
// neighbouring extents and the damage d between them. A generation is complete once
// the start of the next one proves that no frame after its last one is missing; the
// end of the last generation may be torn.
func (r *Recovery) judgeGenerations(prev, next *extent, d log.Damage, damaged map[uint64]bool) {
	if d.Bytes > 0 || d.LastLSN != 0 {
		if prev != nil {
			damaged[prev.gen] = true
		}
		if !next.start {
			damaged[next.gen] = true
		}
	}
	if prev != nil && prev.gen != next.gen && next.start {
		r.complete[prev.gen] = !damaged[prev.gen]
	}
}

// Holds reports whether the log has every frame of the generations from lo to
// hi: they are undamaged and have ended.
func (r *Recovery) Holds(lo, hi uint64) bool {
	for gen := lo; r.complete[gen]; gen++ {
		if gen >= hi {
			return true
		}
	}
	return false
}

// damageBefore reports LSNs that are missing between two segments. They were at the
// end of the earlier one, in segments between them without any other frame, or in
// missing files.
func (r *Recovery) damageBefore(before []*scannedSegment, next *scannedSegment, d log.Damage) {
	for _, s := range before {
		s.damaged = s.damaged || len(s.extents) == 0
	}
	for _, s := range before {
		if n := s.remains(); n > 0 || len(s.extents) == 0 {
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

// lsns is an inclusive range of LSNs. It is empty if last = 0; its start is unknown
// if first = 0.
type lsns struct{ first, last uint64 }

// missing returns the LSNs missing between two extents. prev is nil for the very first
// extent, which begins a generation.
func missing(prev, next *extent) lsns {
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

func (r *Recovery) damage(s *scannedSegment, d log.Damage) {
	s.damaged = true
	d.File = s.name
	if r.report.Damages++; len(r.report.Damage) < maxDamages {
		r.report.Damage = append(r.report.Damage, d)
	}
}

// tearSegment moves the extents of a segment from the i-th on to the torn tail.
func (r *Recovery) tearSegment(s *scannedSegment, i int, lost lsns) {
	s.cut = segmentHeaderBytes
	if i > 0 {
		s.cut = s.extents[i-1].end
	}
	t := &r.report.Torn
	if t.File == "" {
		// The hole may be at the end of an earlier segment; the torn tail begins
		// with the first frame after it.
		t.File, t.Offset, t.FirstLSN = s.name, s.cut, lost.first
	}
	t.Bytes += s.end() - s.cut
	t.LastLSN = s.extents[len(s.extents)-1].last
	s.extents = s.extents[:i]
}

// tearPartial finds remains of frames after the very last frame. After it a segment
// holds zeros, or stale data if the file was reused; any other bytes remain of a
// commit that a power cut interrupted.
func (r *Recovery) tearPartial() {
	i := len(r.segments) - 1
	for i > 0 && len(r.segments[i].extents) == 0 {
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
		if n == 0 || s.expected > 0 { // acknowledged frames: damage
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

// Report returns the summary of the scan.
func (r *Recovery) Report() log.Report { return r.report }

// Highest returns the highest numbers seen, those of the torn tail included.
func (r *Recovery) Highest() log.Pos { return r.highest }

// Generations returns the numbers of the generations that have frames, rising.
func (r *Recovery) Generations() []uint64 {
	var gens []uint64
	for _, s := range r.segments {
		for _, ext := range s.extents {
			if n := len(gens); n == 0 || gens[n-1] != ext.gen {
				gens = append(gens, ext.gen)
			}
		}
	}
	slices.Sort(gens)
	return slices.Compact(gens)
}

// Deletions returns the numbers of a generation's deletions that were logged to
// their end.
func (r *Recovery) Deletions(gen uint64) map[uint64]bool {
	all := map[uint64]bool{}
	for _, s := range r.segments {
		for _, ext := range s.extents {
			for _, number := range ext.deletions {
				if ext.gen == gen {
					all[number] = true
				}
			}
		}
	}
	return all
}

// closed returns the segments that must stay until their generation is released. A
// damaged one without a readable frame is released with its predecessor.
func (r *Recovery) closed() []closedSegment {
	var closed []closedSegment
	gen, last := uint64(0), uint64(0)
	for _, s := range r.segments {
		if n := len(s.extents); n > 0 {
			gen, last = s.extents[n-1].gen, s.extents[n-1].last
		} else if !s.damaged {
			continue
		}
		closed = append(closed, closedSegment{id: s.id, gen: gen, bytes: s.end(), size: s.end(), lastLSN: last, damaged: s.damaged})
	}
	return closed
}

// segmentExtent is an extent and its segment.
type segmentExtent struct {
	segment *scannedSegment
	extent  extent
}

// extentsOf returns the extents of a generation in the order of their LSNs.
func (r *Recovery) extentsOf(gen uint64) []segmentExtent {
	var ps []segmentExtent
	for _, s := range r.segments {
		for _, ext := range s.extents {
			if ext.gen == gen {
				ps = append(ps, segmentExtent{s, ext})
			}
		}
	}
	slices.SortFunc(ps, func(a, b segmentExtent) int { return cmp.Compare(a.extent.first, b.extent.first) })
	return ps
}
