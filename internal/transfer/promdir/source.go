// Package promdir reads the data directory, or a snapshot, of a Prometheus server, with
// Prometheus' own library: blocks, the write-ahead log and the chunks of the head,
// out-of-order samples; what was deleted is left out. Of exemplars a directory has those
// of the last hours, in the log: the newest 64 of a series are read.
//
// The server must not write to the directory meanwhile.
package promdir

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"math"
	"os"
	"strings"

	prommodel "github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	promstorage "github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"tsdb/internal/model"
	"tsdb/internal/transfer"
)

// Source reads a directory, a day at a time.
type Source struct {
	dir     string
	log     *slog.Logger
	db      *tsdb.DBReadOnly
	querier promstorage.Querier
	days    map[string]int64 // first millisecond, by unit

	exemplars exemplars
}

// Open returns a source. The directory is not changed, except that a temporary
// directory with links to the files of the head is made in it, and removed by Close.
func Open(dir string, log *slog.Logger) (*Source, error) {
	if _, err := os.Stat(dir); err != nil {
		return nil, fmt.Errorf("open Prometheus' data directory: %w", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("open Prometheus' data directory: %w", err)
	}
	known := false
	for _, e := range entries {
		known = known || e.Name() == "wal" || e.Name() == "chunks_head"
		if _, err := os.Stat(dir + "/" + e.Name() + "/meta.json"); err == nil {
			known = true
		}
	}
	if !known {
		return nil, fmt.Errorf("%s has neither blocks nor a log of Prometheus: give its data directory, or a snapshot", dir)
	}
	s := &Source{dir: dir, log: log, days: map[string]int64{}}
	s.db, err = tsdb.OpenDBReadOnly(dir, "", log)
	if err != nil {
		return nil, fmt.Errorf("open Prometheus' data directory: %w", err)
	}
	return s, nil
}

// Plan implements transfer.Source.
func (s *Source) Plan(context.Context) (*transfer.Plan, error) {
	blocks, err := s.db.Blocks()
	if err != nil {
		return nil, fmt.Errorf("open Prometheus' blocks: %w", err)
	}
	lo, hi, end := int64(math.MaxInt64), int64(math.MinInt64), int64(math.MinInt64)
	metas := make([]tsdb.BlockMeta, len(blocks))
	for i, b := range blocks {
		m := b.Meta()
		metas[i] = m
		lo, hi, end = min(lo, m.MinTime), max(hi, m.MaxTime-1), max(end, m.MaxTime)
	}
	var head headStats
	newest := end - 1
	if s.hasLog() {
		if head, err = s.head(end); err != nil {
			return nil, err
		}
		if s.exemplars, err = readExemplars(s.dir, s.log); err != nil {
			return nil, err
		}
		newest = math.MaxInt64
	}
	if head.series > 0 {
		lo, hi = min(lo, head.min), max(hi, head.max)
	}
	if s.querier, err = s.db.Querier(math.MinInt64, newest); err != nil {
		return nil, fmt.Errorf("open Prometheus' data: %w", err)
	}
	p := &transfer.Plan{Min: lo, Max: hi}
	for t := lo; t <= hi; {
		day := transfer.DayOf(t)
		u := transfer.Unit{Name: strings.TrimSuffix(model.FormatTime(day.Min-1), "T00:00:00Z"), Min: day.Min, Max: day.Max - 1}
		h := fnv.New64a()
		for _, m := range metas {
			if m.MinTime < day.Max && m.MaxTime > day.Min {
				u.Size = max(u.Size, int64(m.Stats.NumSeries))
				fmt.Fprintln(h, m.ULID, m.Stats.NumTombstones)
			}
		}
		if head.series > 0 && head.min < day.Max && head.max >= day.Min {
			u.Size = max(u.Size, head.series)
			fmt.Fprintln(h, head)
		}
		if u.Size > 0 {
			u.ID = fmt.Sprintf("%s-%016x", u.Name, h.Sum64())
			s.days[u.ID] = day.Min
			p.Units = append(p.Units, u)
		}
		t = day.Max
	}
	return p, nil
}

// hasLog reports whether there is a log. A snapshot has none, and the library would look for
// it if it were asked for times after the last block.
func (s *Source) hasLog() bool {
	_, err := os.Stat(s.dir + "/wal")
	return err == nil
}

// headStats describes the samples that are in no block yet.
type headStats struct{ min, max, series, chunks int64 }

// head returns what the log has from the end of the blocks on.
func (s *Source) head(end int64) (headStats, error) {
	h := headStats{min: math.MaxInt64, max: math.MinInt64}
	db, err := tsdb.OpenDBReadOnly(s.dir, "", s.log)
	if err != nil {
		return h, fmt.Errorf("open Prometheus' log: %w", err)
	}
	defer db.Close()
	q, err := db.ChunkQuerier(end, math.MaxInt64)
	if err != nil {
		return h, fmt.Errorf("open Prometheus' log: %w", err)
	}
	defer q.Close()
	set := q.Select(context.Background(), false, nil, everything())
	for set.Next() {
		it := set.At().Iterator(nil)
		for it.Next() {
			m := it.At()
			h.min, h.max = min(h.min, m.MinTime), max(h.max, m.MaxTime)
			h.chunks++
		}
		h.series++
	}
	return h, set.Err()
}

func everything() *labels.Matcher {
	return labels.MustNewMatcher(labels.MatchRegexp, prommodel.MetricNameLabel, ".*")
}

// Read implements transfer.Source. A position is a number of series.
func (s *Source) Read(ctx context.Context, u transfer.Unit, from int64, emit transfer.Emit) error {
	first, ok := s.days[u.ID]
	if !ok {
		return errors.New("no such day")
	}
	hints := &promstorage.SelectHints{Start: first, End: first + model.DayMs - 1}
	set := s.querier.Select(ctx, true, hints, everything())
	var samples model.Samples
	var it chunkenc.Iterator
	for pos := int64(1); set.Next(); pos++ {
		if pos <= from {
			continue
		}
		series := set.At()
		samples.Reset()
		it = series.Iterator(it)
		if err := AppendSamples(it, &samples); err != nil {
			return fmt.Errorf("series %s: %w", series.Labels(), err)
		}
		if samples.Len() == 0 {
			continue
		}
		item := transfer.Item{Labels: series.Labels(), Samples: &samples}
		item.Exemplars = s.exemplars.in(item.Labels, model.TimeRange{Min: first, Max: first + model.DayMs})
		if err := emit(pos, &item); err != nil {
			return err
		}
	}
	for _, w := range set.Warnings() {
		s.log.Warn("while reading Prometheus' data", "warning", w)
	}
	return set.Err()
}

// AppendSamples appends all samples of an iterator.
func AppendSamples(it chunkenc.Iterator, dst *model.Samples) error {
	for {
		switch it.Next() {
		case chunkenc.ValFloat:
			t, v := it.At()
			if st := it.AtST(); st != 0 || len(dst.ST) > 0 || len(dst.H) > 0 {
				dst.Append(t, st, v, model.Histogram{})
				continue
			}
			dst.T, dst.V = append(dst.T, t), append(dst.V, v)
		case chunkenc.ValHistogram:
			t, h := it.AtHistogram(nil)
			dst.Append(t, it.AtST(), 0, model.Histogram{Int: h})
		case chunkenc.ValFloatHistogram:
			t, h := it.AtFloatHistogram(nil)
			dst.Append(t, it.AtST(), 0, model.Histogram{Float: h})
		default:
			return it.Err()
		}
	}
}

// Close implements transfer.Source.
func (s *Source) Close() error {
	var err error
	if s.querier != nil {
		err = s.querier.Close()
	}
	return errors.Join(err, s.db.Close())
}
