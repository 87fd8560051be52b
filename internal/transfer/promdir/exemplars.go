package promdir

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb/chunks"
	"github.com/prometheus/prometheus/tsdb/record"
	"github.com/prometheus/prometheus/tsdb/wlog"

	"tsdb/internal/model"
)

// Bounds of the exemplars that are read of a log.
const (
	maxSeriesExemplars = 64      // of one series: the newest
	maxExemplarSeries  = 1 << 18 // series with exemplars; those of further ones are left out
)

// exemplars are those of a log, by the bytes of the labels of their series, sorted by time.
// nil has none.
type exemplars map[string][]model.Exemplar

// in returns the exemplars of a series in a range.
func (e exemplars) in(ls labels.Labels, tr model.TimeRange) (found []model.Exemplar) {
	if len(e) == 0 {
		return nil
	}
	for _, x := range e[string(ls.Bytes(nil))] {
		if tr.Contains(x.T) {
			found = append(found, x)
		}
	}
	return found
}

// readExemplars reads those of Prometheus' log, of which blocks have none. A log that is damaged
// is read up to the damage, as its owner does.
func readExemplars(dir string, log *slog.Logger) (exemplars, error) {
	byRef := map[chunks.HeadSeriesRef][]model.Exemplar{}
	left := 0
	err := readLog(dir, log, func(d *record.Decoder, rec []byte) error {
		if d.Type(rec) != record.Exemplars {
			return nil
		}
		es, err := d.Exemplars(rec, nil)
		if err != nil {
			return err
		}
		for _, e := range es {
			old, known := byRef[e.Ref]
			if !known && len(byRef) >= maxExemplarSeries {
				left++
				continue
			}
			byRef[e.Ref] = append(old, model.Exemplar{T: e.T, V: e.V, Labels: e.Labels.Copy()})
			if n := len(byRef[e.Ref]); n >= 2*maxSeriesExemplars {
				byRef[e.Ref] = slices.Clone(byRef[e.Ref][n-maxSeriesExemplars:])
			}
		}
		return nil
	})
	if err != nil || len(byRef) == 0 {
		return nil, err
	}
	if left > 0 {
		log.Warn("exemplars are left out: too many series have some", "exemplars", left, "limit", maxExemplarSeries)
	}
	// Only now is it known which of the series are wanted.
	all := exemplars{}
	err = readLog(dir, log, func(d *record.Decoder, rec []byte) error {
		if d.Type(rec) != record.Series {
			return nil
		}
		series, err := d.Series(rec, nil)
		if err != nil {
			return err
		}
		for _, s := range series {
			if es, ok := byRef[s.Ref]; ok {
				key := string(s.Labels.Bytes(nil))
				all[key] = append(all[key], es...)
				delete(byRef, s.Ref) // it is written again after a checkpoint
			}
		}
		return nil
	})
	for key, es := range all {
		slices.SortStableFunc(es, func(a, b model.Exemplar) int { return int(a.T - b.T) })
		es = slices.CompactFunc(es, model.Exemplar.Equal)
		all[key] = es[max(0, len(es)-maxSeriesExemplars):]
	}
	return all, err
}

// readLog passes the records of the last checkpoint and of the segments after it to each.
func readLog(dir string, log *slog.Logger, each func(d *record.Decoder, rec []byte) error) error {
	wal := filepath.Join(dir, "wal")
	if _, err := os.Stat(wal); errors.Is(err, fs.ErrNotExist) {
		return nil // a snapshot
	}
	var ranges []wlog.SegmentRange
	checkpoint, last, err := wlog.LastCheckpoint(wal)
	switch {
	case err == nil:
		ranges = append(ranges, wlog.SegmentRange{Dir: checkpoint, First: -1, Last: -1})
	case errors.Is(err, record.ErrNotFound):
		last = -2
	default:
		return fmt.Errorf("read Prometheus' log: %w", err)
	}
	segments, err := wlog.NewSegmentsRangeReader(append(ranges, wlog.SegmentRange{Dir: wal, First: last + 1, Last: -1})...)
	if err != nil {
		return fmt.Errorf("read Prometheus' log: %w", err)
	}
	defer segments.Close()
	d := record.NewDecoder(labels.NewSymbolTable(), log)
	r := wlog.NewReader(segments)
	for r.Next() {
		if err := each(&d, r.Record()); err != nil {
			log.Warn("a record of Prometheus' log is not readable: exemplars after it are left out", "err", err)
			return nil
		}
	}
	if err := r.Err(); err != nil {
		log.Warn("Prometheus' log is damaged: exemplars after it are left out", "err", err)
	}
	return nil
}
