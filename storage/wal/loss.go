package wal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"path"
	"slices"
	"time"

	"tsdb/storage/log"
)

// lostSegment is a segment that lacks durable frames recorded in the list of
// segments.
type lostSegment struct {
	log.LostSegment

	foreign bool // the file belongs to another segment
}

func wallTime(ms int64) string { return time.UnixMilli(ms).UTC().Format(time.RFC3339) }

// readList reads the list of segments. An unreadable list is reported and ignored;
// a list of an unknown version is an error.
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
		r.highest = log.Pos{
			Generation: max(r.highest.Generation, s.gen),
			LSN:        max(r.highest.LSN, s.lastLSN),
			Segment:    max(r.highest.Segment, s.id),
		}
	}
	return nil
}

// compareList finds missing segments and frames among the listed ones.
func (r *Recovery) compareList() error {
	for _, l := range r.list.segments {
		i, found := slices.BinarySearchFunc(r.segments, l.id, func(s *scannedSegment, id uint64) int {
			if s.id < id {
				return -1
			}
			return int(min(s.id-id, 1))
		})
		lost := lostSegment{LostSegment: log.LostSegment{File: segmentName(r.dir, l.id), ID: l.id, Generation: l.gen, Listed: l.bytes, FromMs: l.firstMs, ToMs: l.lastMs}}
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

// compareSegment describes in lost the missing frames of a listed segment, if any.
// Unreadable frames in the segment's own file, if it has the listed length, are
// damage, not loss.
func (r *Recovery) compareSegment(l listedSegment, s *scannedSegment, lost *lostSegment) error {
	n := len(s.extents)
	switch {
	case n > 0 && (s.extents[0].gen != l.gen || s.extents[0].off == segmentHeaderBytes && s.extents[0].first != l.firstLSN):
		lost.What, lost.foreign = fmt.Sprintf("holds frames of generation %d from LSN %d on, listed are generation %d and LSN %d",
			s.extents[0].gen, s.extents[0].first, l.gen, l.firstLSN), true
		return nil
	case s.end() >= l.bytes:
		return nil
	}
	if n > 0 {
		lost.Found = s.end()
		lost.FromMs = min(max(lost.FromMs, s.extents[n-1].lastMs), lost.ToMs)
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
	hasRemains, err := r.hasRemains(l, s)
	if err != nil {
		return err
	}
	if !hasRemains {
		lost.What = fmt.Sprintf("holds frames up to offset %d, %d were durable", s.end(), l.bytes)
		return nil
	}
	s.expected, s.expectedLSN = l.bytes, l.lastLSN
	return nil
}

// hasRemains reports whether remains of frames reach from the last frame of a segment
// to the listed end, so that the frames are damaged and not lost: the header of the
// last of them or, if it is the only one, most of its header. Stale data of a
// reused file does not count.
func (r *Recovery) hasRemains(l listedSegment, s *scannedSegment) (bool, error) {
	f, err := r.fs.Open(s.name)
	if err != nil {
		return false, fmt.Errorf("open segment: %w", err)
	}
	defer f.Close()
	seed, next := seedOf(s.id), l.firstLSN
	if n := len(s.extents); n > 0 {
		next = s.extents[n-1].last + 1
	}
	w := &fileReader{file: f, size: l.bytes}
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

// Loss returns the loss of listed segments of generation low and above, the lowest
// generation still needed; nil if none is missing.
func (r *Recovery) Loss(low uint64) *log.Loss {
	var l log.Loss
	for _, s := range r.lost {
		if s.Generation < max(low, r.low) {
			continue
		}
		if len(l.Segments) == 0 {
			l.FromMs, l.ToMs = s.FromMs, s.ToMs
		}
		l.FromMs, l.ToMs = min(l.FromMs, s.FromMs), max(l.ToMs, s.ToMs)
		l.Segments = append(l.Segments, s.LostSegment)
	}
	if len(l.Segments) == 0 {
		return nil
	}
	return &l
}

// AcceptLoss rewrites the list of segments to the frames found, so that the next
// start succeeds without the lost ones. Foreign files that have the name of a
// segment are renamed out of the way.
func (r *Recovery) AcceptLoss() error {
	l := r.list.clone()
	aside := false
	for _, lost := range r.lost {
		i, _ := l.find(lost.ID)
		if lost.Found == 0 {
			l.segments = slices.Delete(l.segments, i, i+1)
		} else if err := r.shorten(&l.segments[i], lost.ID); err != nil {
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

// shorten durably lists only the frames found of a segment.
func (r *Recovery) shorten(l *listedSegment, id uint64) error {
	for _, s := range r.segments {
		if s.id != id {
			continue
		}
		if n := len(s.extents); n > 0 {
			last := &s.extents[n-1]
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

// listed returns the list of the log's segments after the repair.
func (r *Recovery) listed() segmentList {
	l := segmentList{synced: max(r.list.synced, r.report.LastLSN)}
	for _, s := range r.segments {
		e := listedSegment{id: s.id, bytes: s.end()}
		data := false
		for i, ext := range s.extents {
			if i == 0 {
				e.gen, e.firstLSN, e.firstMs, e.lastMs = ext.gen, ext.first, ext.firstMs, ext.lastMs
			}
			e.lastLSN, e.firstMs, e.lastMs = ext.last, min(e.firstMs, ext.firstMs), max(e.lastMs, ext.lastMs)
			data = data || ext.data
		}
		if data {
			l.put(e)
		}
	}
	return l
}
