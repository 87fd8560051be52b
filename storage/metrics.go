package storage

import (
	"math"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"tsdb/internal/model"
)

// metrics are the database's own measurements.
type metrics struct {
	rejected         *prometheus.CounterVec
	accepted         *prometheus.CounterVec
	dropped          *prometheus.CounterVec
	created          *prometheus.CounterVec
	overwritten      *prometheus.CounterVec
	exemplarsDropped prometheus.Counter
	lostSamples      prometheus.Counter
	cuts, cutErrors  prometheus.Counter
	cutSeconds       prometheus.Histogram
	merges           *prometheus.CounterVec
	mergeErrors      prometheus.Counter
	panics           *prometheus.CounterVec
	mergedBytes      prometheus.Counter
	rollupSteps      *prometheus.CounterVec
	rollupBytes      prometheus.Counter
	rollupSamples    prometheus.Counter
	rollupSeconds    prometheus.Counter
	writesStopped    prometheus.Gauge
	deletions        prometheus.Counter
	deletedSamples   prometheus.Counter
	reclaimedSamples prometheus.Counter
	importPauses     prometheus.Counter
}

// doorMerge stands for merges, which find what overwrites samples of older blocks.
const doorMerge = "merge"

func newMetrics() *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	return &metrics{
		rejected:         prometheus.NewCounterVec(prometheus.CounterOpts{Name: "tsdb_rejected_samples_total", Help: "Samples refused, by door and reason."}, []string{"door", "reason"}),
		accepted:         prometheus.NewCounterVec(prometheus.CounterOpts{Name: "tsdb_ingested_samples_total", Help: "Samples acknowledged, by door and kind, repetitions included."}, []string{"door", "kind"}),
		dropped:          prometheus.NewCounterVec(prometheus.CounterOpts{Name: "tsdb_relabel_dropped_samples_total", Help: "Samples left out because relabelling drops their series, by door."}, []string{"door"}),
		created:          prometheus.NewCounterVec(prometheus.CounterOpts{Name: "tsdb_created_series_total", Help: "Series registered in the head, by the door that first sent them; those that return after they had left count again."}, []string{"door"}),
		overwritten:      prometheus.NewCounterVec(prometheus.CounterOpts{Name: "tsdb_overwritten_samples_total", Help: "Samples whose value a later write at the same time has replaced while they were in memory, by door; those in blocks when merges found them, with door=\"merge\". Identical repetitions do not count."}, []string{"door"}),
		exemplarsDropped: counter("tsdb_exemplars_dropped_total", "Exemplars that made room for newer ones of their series."),
		lostSamples:      counter("tsdb_wal_lost_samples_total", "Samples of the log whose series definition was damaged."),
		cuts:             counter("tsdb_head_cuts_total", "Heads turned into blocks."),
		cutErrors:        counter("tsdb_head_cut_errors_total", "Cuts that failed and are tried again."),
		cutSeconds:       prometheus.NewHistogram(prometheus.HistogramOpts{Name: "tsdb_head_cut_duration_seconds", Help: "Time a cut took.", Buckets: prometheus.ExponentialBuckets(0.01, 3, 9)}),
		merges:           prometheus.NewCounterVec(prometheus.CounterOpts{Name: "tsdb_merges_total", Help: "Merges of blocks, by the level of the result."}, []string{"level"}),
		panics:           prometheus.NewCounterVec(prometheus.CounterOpts{Name: "tsdb_background_panics_total", Help: "Steps of background jobs that ran into a programming error, by job; each has a stack in the log."}, []string{"job"}),
		mergeErrors:      counter("tsdb_merge_errors_total", "Merges that failed and are tried again."),
		mergedBytes:      counter("tsdb_merge_written_bytes_total", "Bytes of blocks written by merges."),
		rollupSteps:      prometheus.NewCounterVec(prometheus.CounterOpts{Name: "tsdb_rollup_steps_total", Help: "Steps of rollups, by action (roll: a day, fold: a group of days, erase: deletions, confirm: entries only) and tier."}, []string{"action", "tier"}),
		rollupBytes:      counter("tsdb_rollup_written_bytes_total", "Bytes of blocks written by rollups."),
		rollupSamples:    counter("tsdb_rollup_read_samples_total", "Samples read by rollups."),
		rollupSeconds:    counter("tsdb_rollup_seconds_total", "Time that steps of rollups took, waits for writers and queries included."),
		writesStopped:    prometheus.NewGauge(prometheus.GaugeOpts{Name: "tsdb_writes_stopped", Help: "1 while writes are refused for want of disk space or after a failure of the log."}),
		deletions:        counter("tsdb_deletions_total", "Requests that deleted series."),
		deletedSamples:   counter("tsdb_deleted_samples_total", "Samples that deletions have hidden, an estimate."),
		reclaimedSamples: counter("tsdb_reclaimed_samples_total", "Deleted samples that merges have left out of blocks."),
		importPauses:     counter("tsdb_import_pauses_seconds_total", "Time that imports have paused because writers were busy."),
	}
}

func (m *metrics) collectors() []prometheus.Collector {
	return []prometheus.Collector{m.rejected, m.accepted, m.dropped, m.created, m.overwritten, m.exemplarsDropped, m.lostSamples, m.cuts, m.cutErrors, m.cutSeconds, m.merges, m.mergeErrors, m.panics, m.mergedBytes,
		m.rollupSteps, m.rollupBytes, m.rollupSamples, m.rollupSeconds, m.writesStopped, m.deletions, m.deletedSamples, m.reclaimedSamples, m.importPauses}
}

// describe registers the metrics of the database.
func (db *DB) describe(reg prometheus.Registerer) error {
	gauge := func(name, help string, f func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, f)
	}
	list := append(append(db.metrics.collectors(), db.jobs.all.Collectors()...),
		newRollupCollector(db.roller),
		newRetentionCollector(db), newSnapshotCollector(db),
		doorSeriesCollector{db},
		gauge("tsdb_head_series", "Series the head knows.", func() float64 { return float64(db.head.Stats().Series) }),
		gauge("tsdb_head_samples", "Samples in memory.", func() float64 { return float64(db.views.headStatus().Samples) }),
		gauge("tsdb_head_bytes", "Memory of the samples in the head.", func() float64 { return float64(db.views.headStatus().Bytes) }),
		gauge("tsdb_wal_bytes", "Bytes of log segments on disk.", func() float64 { total, _ := db.wal.Bytes(); return float64(total) }),
		gauge("tsdb_disk_free_bytes", "Bytes that can still be written to the file system of the data directory; NaN if unknown.", func() float64 {
			free, err := db.fs.FreeBytes(db.dir)
			if err != nil {
				return math.NaN()
			}
			return float64(free)
		}),
		gauge("tsdb_wal_poisoned", "1 after a failed write or sync of the log.", func() float64 {
			if db.wal.Err() != nil {
				return 1
			}
			return 0
		}),
		gauge("tsdb_manifest_copies", "Copies of the MANIFEST that hold every edit: 2, or 1 while the second cannot be written.", func() float64 {
			if db.catalog.twinBehind.Load() {
				return 1
			}
			return 2
		}),
		prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "tsdb_wal_list_errors_total", Help: "Failed writes of the list of log segments, which are tried again."},
			func() float64 { return float64(db.wal.List().Failures) }),
		gauge("tsdb_wal_list_stale", "1 while the list of log segments cannot be written, so that a loss of the newest ones would not be noticed.", func() float64 {
			if db.wal.List().Err != nil {
				return 1
			}
			return 0
		}),
		prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "tsdb_wal_accepted_losses_total", Help: "Losses of log segments that were accepted, in the life of the data directory."},
			func() float64 { return float64(db.manifest.State().Incarnation.Losses) }),
		gauge("tsdb_blocks_quarantined", "Block files that are missing or damaged: what cannot be read of them is missing in answers, with a warning.",
			func() float64 { return float64(len(db.Quarantined())) }),
		gauge("tsdb_tombstones", "Deletions that are not carried out in all blocks yet.", func() float64 { return float64(db.views.tombstoneUse().Live) }),
		gauge("tsdb_history_marks", "Marks of the history: earlier moments at which queries can ask (as_of).", func() float64 { return float64(db.past.status().Marks) }),
		gauge("tsdb_history_bytes", "Bytes of the history: its marks, and blocks that only these have.", func() float64 { return float64(db.past.status().Bytes) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "tsdb_history_marks_given_up_total", Help: "Marks of the history dropped before their time, because space was short."},
			func() float64 { return float64(db.past.status().GivenUp) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "tsdb_history_marks_failed_total", Help: "Marks of the history that could not be written."},
			func() float64 { return float64(db.past.status().Failed) }),
		gauge("tsdb_blocks", "Block files.", func() float64 { return float64(len(db.manifest.State().Blocks)) }),
		gauge("tsdb_block_bytes", "Bytes of block files.", func() float64 {
			n := int64(0)
			for _, b := range db.manifest.State().Blocks {
				n += b.Size
			}
			return float64(n)
		}),
	)
	for i, c := range list {
		if err := reg.Register(c); err != nil {
			for _, c := range list[:i] {
				reg.Unregister(c)
			}
			return err
		}
	}
	db.collectors = list
	return nil
}

// rejectionLog writes one line a minute and reason.
type rejectionLog struct {
	mu   sync.Mutex
	last map[string]time.Time
}

// count counts the accepted and refused samples of a request, and logs an example
// of each reason for a refusal once a minute. Strings are not logged: requests
// with them succeed, and their door logs them.
func (db *DB) count(door string, receipt *Receipt) {
	for _, c := range [...]struct {
		kind string
		n    int
	}{{"float", receipt.Floats}, {"histogram", receipt.Histograms}, {"exemplar", receipt.Exemplars}} {
		if c.n > 0 {
			db.metrics.accepted.WithLabelValues(door, c.kind).Add(float64(c.n))
		}
	}
	if d := receipt.Dropped; d != (Dropped{}) {
		db.metrics.dropped.WithLabelValues(door).Add(float64(d.Floats + d.Histograms + d.Exemplars))
	}
	for _, r := range receipt.Rejected {
		db.metrics.rejected.WithLabelValues(door, string(r.Reason)).Add(float64(r.Count))
		if r.Reason == ReasonStringField || !db.rejectionLog.due(door+"/"+string(r.Reason), db.opts.Clock.Now()) {
			continue
		}
		args := []any{"door", door, "reason", string(r.Reason), "samples", r.Count, "series", r.Series, "detail", r.Detail}
		if r.T != 0 {
			args = append(args, "time", model.FormatTime(r.T))
		}
		db.log.Warn("samples refused (further ones of this reason are not logged for a minute)", args...)
	}
}

func (l *rejectionLog) due(key string, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if t, ok := l.last[key]; ok && now.Sub(t) < time.Minute && !now.Before(t) {
		return false
	}
	if l.last == nil {
		l.last = make(map[string]time.Time)
	}
	l.last[key] = now
	return true
}
