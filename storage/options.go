package storage

import (
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"tsdb/internal/model"
	"tsdb/internal/vfs"
	"tsdb/partition/block"
	"tsdb/storage/log"
	"tsdb/storage/wal"
)

// Options are the settings of a database; the zero value is the default.
type Options struct {
	RetentionMs int64 // raw samples older than this are refused and leave; 0 = for ever
	// TierRetentionMs are the rollups that are made, and how long each is kept; 0 = for
	// ever.
	TierRetentionMs map[block.Tier]int64
	// RetentionRules are those of Retention.Rules.
	RetentionRules []RetentionRule
	// RetentionBytes and RetentionPercent are Retention.MaxBytes and MaxPercent.
	RetentionBytes   int64
	RetentionPercent int
	MaxFutureMs      int64 // samples further ahead than this are refused; 0 = 2 days

	// HistoryKeep is how long marks stay, at which past states can be read; 0 = none are
	// taken, and those there are removed.
	HistoryKeep time.Duration

	// Tenants are the names and numbers of tenants beside the default one. The
	// number of a tenant is part of its series' identity and never changes.
	Tenants map[string]uint32

	WALSync         wal.Mode      // when an acknowledgement counts as durable; the zero value is always
	WALSegmentBytes int64         // size of a log segment; 0 = 32 MiB, less on a disk below 1 GiB
	WALKeep         time.Duration // how long released log segments stay for backups; 0 = not at all
	WALPendingBytes int           // bound of log bytes not yet written; 0 = 16 MiB, at most half a segment

	CutWALBytes  int64         // the head is cut when its generation's log is this long; 0 = 1 GiB, at most 1/8 of the disk
	CutHeadBytes int64         // the head is cut when its samples take this much memory, or half if its columns are long; 0 = 256 MiB, at most 1/8 of the disk
	CutAge       time.Duration // the head is cut at this age if it is dense; 0 = 30 min; a sparse one at 4 × this

	CacheBytes int64 // memory for decoded pages of blocks; 0 = 64 MiB, < 0 = none

	// Background runs cuts, merges and retention on their own. Tests that
	// drive them by hand leave it off.
	Background bool

	// Memory returns a new charge for memory that background work takes for a while:
	// take is called before it is taken, release once at the end. nil = not charged.
	Memory func() (take func(bytes int64) error, release func())

	// Owner names this process in LOCK, in one line; empty = "another process".
	Owner string

	// Strict has Open refuse a directory with damage that it would otherwise go
	// on without: a listed block that is missing or unreadable, lost frames of
	// the log, a damaged copy of the MANIFEST.
	Strict bool

	// logStore holds the log; nil = the write-ahead log in the data directory.
	// Tests hand in one in memory.
	logStore log.Store

	Clock      vfs.Clock    // nil = the system clock
	Seed       uint64       // randomness: the identity seed of a database made here; 0 = from the system
	AliasSeed  uint64       // randomness of this process' alias hashes; 0 = from the system
	Logger     *slog.Logger // nil = none
	Registerer prometheus.Registerer

	// Progress is called while the log is replayed, from one goroutine at a
	// time; nil = not.
	Progress func(done, total int64)

	// MinFreeBytes is the free space below which writes stop, before the
	// bytes of the heads are added; 0 = 32 MiB, at most 1/16 of the disk.
	MinFreeBytes int64
	ReserveBytes int64 // size of the reserve file; 0 = 4 MiB, at most 1/64 of the disk
}

// withDefaults sets the defaults, except for the sizes that sizedFor sets.
func (o Options) withDefaults() Options {
	setDefault(&o.MaxFutureMs, 2*model.DayMs)
	setDefault(&o.CutAge, 30*time.Minute)
	setDefault(&o.CacheBytes, 64<<20)
	setDefault(&o.Owner, "another process")
	if o.Clock == nil {
		o.Clock = vfs.SystemClock
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

func setDefault[T comparable](p *T, v T) {
	var zero T
	if *p == zero {
		*p = v
	}
}
