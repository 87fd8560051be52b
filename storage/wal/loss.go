package wal

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"
)

// LostSegment is a segment that the list of segments says holds durable frames,
// and that does not.
type LostSegment struct {
	File       string // its path
	ID         uint64
	Generation uint64
	Listed     int64 // the end of its durable frames, as listed
	Found      int64 // the end of those that are there, 0 = none
	What       string
	FromMs     int64 // wall times between which the lost frames were written,
	ToMs       int64 // as far as they are listed

	foreign bool // the file is another segment's
}

// Loss is what a log has lost. It is the error of a start on such a log.
type Loss struct {
	Segments     []LostSegment // by rising id, at least one
	FromMs, ToMs int64         // wall times between which the lost frames were written, as far as they are listed
}

// lossNamed bounds the segments that the text of a Loss names.
const lossNamed = 4

func (l *Loss) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "acknowledged samples are missing from the log, received from %s to %s or later: ", wallTime(l.FromMs), wallTime(l.ToMs))
	for i, s := range l.Segments {
		if i == lossNamed {
			fmt.Fprintf(&b, ", and %d further segments", len(l.Segments)-i)
			break
		}
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "segment %s %s", path.Base(s.File), s.What)
	}
	return b.String()
}

// Token names this loss and no other.
func (l *Loss) Token() string {
	h := sha256.New()
	for _, s := range l.Segments {
		var b []byte
		for _, v := range []uint64{s.ID, s.Generation, uint64(s.Listed), uint64(s.Found), uint64(s.FromMs), uint64(s.ToMs)} {
			b = binary.LittleEndian.AppendUint64(b, v)
		}
		h.Write(b)
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

func wallTime(ms int64) string { return time.UnixMilli(ms).UTC().Format(time.RFC3339) }

// readList reads the list of segments. One that cannot be read is reported and
// not used; one of a version that this program does not know is an error.
func (r *Recovery) readList() (err error) {
	if r.o.ListName == "" {
		return nil
	}
	r.list, err = readSegmentList(r.fs, r.o.ListName)
	if errors.Is(err, ErrVersion) {
		return err
	}
	r.report.ListErr = err
	r.highest.LSN = r.list.synced
	for _, s := range r.list.segments {
		r.highest = Pos{
			Generation: max(r.highest.Generation, s.gen),
			LSN:        max(r.highest.LSN, s.lastLSN),
			Segment:    max(r.highest.Segment, s.id),
		}
	}
	return nil
}

// compareList finds what of the listed segments is not there.
func (r *Recovery) compareList() error {
	for _, l := range r.list.segments {
		i, found := slices.BinarySearchFunc(r.segments, l.id, func(s *scanned, id uint64) int {
			if s.id < id {
				return -1
			}
			return int(min(s.id-id, 1))
		})
		lost := LostSegment{File: segmentName(r.dir, l.id), ID: l.id, Generation: l.gen, Listed: l.bytes, FromMs: l.firstMs, ToMs: l.lastMs}
		if !found {
			lost.What = "is missing"
			r.lost = append(r.lost, lost)
			continue
		}
		s := r.segments[i]
		if err := r.compareSegment(l, s, &lost); err != nil {
			return err
		}
		if lost.What != "" {
			r.lost = append(r.lost, lost)
		}
	}
	return nil
}

// compareSegment says in lost what of a listed segment is not there. Frames
// that cannot be read, in a file that is as long as listed and its own, are
// damage and no loss.
func (r *Recovery) compareSegment(l listedSegment, s *scanned, lost *LostSegment) error {
	n := len(s.runs)
	switch {
	case n > 0 && (s.runs[0].gen != l.gen || s.runs[0].off == segmentHeaderBytes && s.runs[0].first != l.firstLSN):
		lost.What, lost.foreign = fmt.Sprintf("holds frames of generation %d from LSN %d on, listed are generation %d and LSN %d",
			s.runs[0].gen, s.runs[0].first, l.gen, l.firstLSN), true
		return nil
	case s.end() >= l.bytes:
		return nil
	}
	if n > 0 {
		lost.Found = s.end()
		lost.FromMs = min(max(lost.FromMs, s.runs[n-1].lastMs), lost.ToMs)
	}
	switch {
	case s.size < l.bytes:
		lost.What = fmt.Sprintf("has %d bytes, %d were durable", s.size, l.bytes)
		lost.foreign = n == 0 && s.size > 0 && !s.header
		return nil
	case n == 0 && !s.header:
		lost.What, lost.foreign = "is the file of something else", true
		return nil
	}
	traces, err := r.traces(l, s)
	if err != nil {
		return err
	}
	if !traces {
		lost.What = fmt.Sprintf("holds frames up to offset %d, %d were durable", s.end(), l.bytes)
		return nil
	}
	s.expected, s.expectedLSN = l.bytes, l.lastLSN
	return nil
}

// traces reports whether the remains of frames reach from the last frame of a
// segment to the end that is listed, so that they are damaged and not gone: the
// header of the last of them, or, if it is the only one, most of its header.
// What a file still holds of an earlier life does not count.
func (r *Recovery) traces(l listedSegment, s *scanned) (bool, error) {
	f, err := r.fs.Open(s.name)
	if err != nil {
		return false, fmt.Errorf("open segment: %w", err)
	}
	defer f.Close()
	seed, next := seedOf(s.id), l.firstLSN
	if n := len(s.runs); n > 0 {
		next = s.runs[n-1].last + 1
	}
	w := &window{file: f, size: l.bytes}
	for at := s.end(); at+frameHeaderBytes <= l.bytes; at += frameAlign {
		b, err := w.at(at, frameHeaderBytes)
		if err != nil {
			return false, err
		}
		_, plausible := plausible(b, seed)
		isLast := binary.LittleEndian.Uint64(b[offLSN:]) == l.lastLSN
		isGen := binary.LittleEndian.Uint64(b[offGeneration:]) == l.gen
		if next == l.lastLSN {
			return plausible || isLast || isGen, nil // a changed byte leaves one of them
		}
		if plausible && isLast && isGen {
			return true, nil
		}
	}
	return false, nil
}

// Loss returns what is missing of the listed segments whose generation is not
// below low, from which on the log is needed; nil if nothing is.
func (r *Recovery) Loss(low uint64) *Loss {
	var l Loss
	for _, s := range r.lost {
		if s.Generation < max(low, r.low) {
			continue
		}
		if len(l.Segments) == 0 {
			l.FromMs, l.ToMs = s.FromMs, s.ToMs
		}
		l.FromMs, l.ToMs = min(l.FromMs, s.FromMs), max(l.ToMs, s.ToMs)
		l.Segments = append(l.Segments, s)
	}
	if len(l.Segments) == 0 {
		return nil
	}
	return &l
}

// AcceptLoss makes the list of segments say what is there, so that the next
// start does without the rest. Files of something else that have the name of a
// segment are put aside.
func (r *Recovery) AcceptLoss() error {
	l := r.list.clone()
	aside := false
	for _, lost := range r.lost {
		i, _ := l.find(lost.ID)
		if lost.Found == 0 {
			l.segments = slices.Delete(l.segments, i, i+1)
		} else if err := r.shorten(&l.segments[i], lost); err != nil {
			return fmt.Errorf("accept loss: %w", err)
		}
		if lost.foreign {
			if err := r.fs.Rename(lost.File, path.Join(r.dir, idString(lost.ID)+badSuffix)); err != nil {
				return fmt.Errorf("accept loss: %w", err)
			}
			aside = true
		}
	}
	if aside {
		if err := r.fs.SyncDir(r.dir); err != nil {
			return fmt.Errorf("accept loss: %w", err)
		}
	}
	if err := writeSegmentList(r.fs, r.o.ListName, &l); err != nil {
		return fmt.Errorf("accept loss: %w", err)
	}
	r.list, r.lost = l, nil
	return nil
}

// shorten lists only what is there of a segment, durably.
func (r *Recovery) shorten(l *listedSegment, lost LostSegment) error {
	for _, s := range r.segments {
		if s.id != lost.ID {
			continue
		}
		if n := len(s.runs); n > 0 {
			last := &s.runs[n-1]
			l.bytes, l.lastLSN, l.lastMs = last.end, last.last, max(l.firstMs, last.lastMs)
		}
		f, err := r.fs.OpenReadWrite(s.name)
		if err != nil {
			return err
		}
		return errors.Join(f.Sync(), f.Close())
	}
	return nil
}

// listed returns the list of what the log holds once it is repaired.
func (r *Recovery) listed() segmentList {
	l := segmentList{synced: max(r.list.synced, r.report.LastLSN)}
	for _, s := range r.segments {
		e := listedSegment{id: s.id, bytes: s.end()}
		data := false
		for i, run := range s.runs {
			if i == 0 {
				e.gen, e.firstLSN, e.firstMs, e.lastMs = run.gen, run.first, run.firstMs, run.lastMs
			}
			e.lastLSN, e.firstMs, e.lastMs = run.last, min(e.firstMs, run.firstMs), max(e.lastMs, run.lastMs)
			data = data || run.data
		}
		if data {
			l.put(e)
		}
	}
	return l
}
