package storage

import (
	"context"
	"fmt"
	"slices"
	"time"

	"tsdb/internal/model"
)

// Status describes the stored data, as GET /api/v1/status/storage shows it.
// Bytes are those of block files; the log's stand apart.
type Status struct {
	// Incarnation names the database; a restore or an accepted loss gives it another.
	Incarnation    string       `json:"incarnation"`
	Series         uint64       `json:"series"` // distinct ones with samples, in memory and in blocks
	Samples        uint64       `json:"samples"`
	Blocks         int          `json:"blocks"`
	Bytes          int64        `json:"bytes"`
	BytesPerSample float64      `json:"bytesPerSample"` // of the samples in blocks; 0 without any
	Head           HeadStatus   `json:"head"`
	WAL            WALStatus    `json:"wal"`
	Tiers          []TierStatus `json:"tiers"` // raw, then rollups, finest first
	// Full is what the blocks will take once every retention is full, at today's rate.
	Full        Forecast       `json:"full"`
	FailingJobs []JobStatus    `json:"failingJobs"` // of the background work
	Jobs        []JobActivity  `json:"jobs"`        // what each does
	Retention   BoundStatus    `json:"retention"`
	Rules       []RuleStatus   `json:"retentionRules"` // in force; the last is that of all other series
	Deletions   DeletionStatus `json:"deletions"`
	History     HistoryStatus  `json:"history"`

	Snapshots []SnapshotStatus `json:"snapshots"`
	// SnapshotBytes are those of files that only snapshots have: removing the snapshots
	// frees them, and nothing else does.
	SnapshotBytes int64 `json:"snapshotBytes"`
}

// DeletionStatus counts the deletions that are not carried out in all blocks yet.
type DeletionStatus struct {
	Live       int   `json:"live"`       // after combining
	Unrecorded int   `json:"unrecorded"` // of them, in the log only: the next cut records them
	Bytes      int64 `json:"bytes"`      // of their matchers
	Limit      int   `json:"limit"`      // of Live, beyond which deletions are refused
	BytesLimit int64 `json:"bytesLimit"`
}

// HeadStatus describes the samples that are in memory.
type HeadStatus struct {
	Series  uint64 `json:"series"`
	Samples uint64 `json:"samples"`
	Bytes   int64  `json:"bytes"`

	TableBytes int64 `json:"tableBytes"` // of the tables of series: labels, index, aliases
}

// WALStatus describes the log.
type WALStatus struct {
	Bytes int64 `json:"bytes"`
	// KeptBytes are those of released segments that are kept for backups.
	KeptBytes int64 `json:"keptBytes,omitempty"`
	// ListError is why the list of segments could not be written, so that a
	// loss of the newest ones would not be noticed.
	ListError string `json:"listError,omitempty"`
	// Loss is the last loss of segments that was accepted.
	Loss *LossStatus `json:"loss,omitempty"`
}

// LossStatus describes the last accepted loss of log segments. Times are RFC
// 3339.
type LossStatus struct {
	Incarnation  string `json:"incarnation"` // of the database since then
	Accepted     string `json:"accepted"`
	ReceivedFrom string `json:"receivedFrom"` // bounds of the time when the lost samples were received
	ReceivedTo   string `json:"receivedTo"`
	Losses       uint64 `json:"losses"` // accepted so far, with this one
}

// walStatus describes the log.
func (db *DB) walStatus() WALStatus {
	var st WALStatus
	st.Bytes, _ = db.wal.Bytes()
	st.KeptBytes = db.wal.KeptBytes()
	if err := db.wal.List().Err; err != nil {
		st.ListError = "the list of log segments is out of date; a write of it failed"
	}
	if n := db.manifest.State().Incarnation; n.Losses > 0 {
		st.Loss = &LossStatus{
			Incarnation: fmt.Sprintf("%016x", n.ID), Accepted: rfc3339(n.AcceptedMs),
			ReceivedFrom: rfc3339(n.FromMs), ReceivedTo: rfc3339(n.ToMs), Losses: n.Losses,
		}
	}
	return st
}

// TierStatus describes one resolution. Bytes a day are those of the newest complete
// days.
type TierStatus struct {
	Tier        string `json:"tier"`
	On          bool   `json:"on"` // raw, or a rollup that is kept up to date
	Blocks      int    `json:"blocks"`
	Bytes       int64  `json:"bytes"`
	BytesPerDay int64  `json:"bytesPerDay"`
	// StandInBytesPerDay are the bytes of raw samples that stand in for buckets of the
	// tier. They are kept for its retention, not for that of raw.
	StandInBytesPerDay int64 `json:"standInBytesPerDay"`
	RetentionMs        int64 `json:"retentionMs"` // 0 = for ever
	// FullBytes are the bytes of the tier once its retention is full, with the samples
	// that stand in for it beyond those of raw; 0 if it is kept for ever.
	FullBytes int64 `json:"fullBytes"`
	// Note says how to drop what a disabled tier still holds; otherwise empty.
	Note string `json:"note,omitempty"`
	// Partitions are days; of a rollup, the days that a block spans.
	Partitions []PartitionStatus `json:"partitions"`
}

// PartitionStatus describes the blocks of one partition. Start and End are
// RFC 3339, the range is [Start, End).
type PartitionStatus struct {
	Start   string `json:"start"`
	End     string `json:"end"`
	Blocks  int    `json:"blocks"`
	Series  uint64 `json:"series"`
	Samples uint64 `json:"samples"` // of a rollup: rows
	Bytes   int64  `json:"bytes"`
}

// Status returns the status of the database. Counting the series reads the
// identities of every block.
func (db *DB) Status() (Status, error) {
	v, err := db.View()
	if err != nil {
		return Status{}, err
	}
	defer v.Release()
	st := Status{Head: db.views.headStatus(), WAL: db.walStatus(), FailingJobs: db.failingJobs(), Jobs: db.JobActivities(), Retention: db.boundStatus(), Rules: db.ruleStatus(v), Deletions: db.views.tombstoneUse(), History: db.historyStatus()}
	st.Incarnation = fmt.Sprintf("%016x", db.manifest.State().Incarnation.ID)
	if st.Snapshots, err = db.SnapshotStatus(); err != nil {
		return Status{}, err
	}
	for _, s := range st.Snapshots {
		st.SnapshotBytes += s.PinnedBytes
	}
	for _, e := range v.st.blocks.Entries() {
		st.Blocks++
		st.Bytes += e.Size
	}
	st.Tiers, st.Full = v.tierStatus(db.policy.Load(), db.opts.Clock.Now().UnixMilli())
	for _, p := range st.Tiers[0].Partitions {
		st.Samples += p.Samples
	}
	if st.Samples > 0 {
		st.BytesPerSample = float64(st.Tiers[0].Bytes) / float64(st.Samples)
	}
	st.Samples += st.Head.Samples
	if st.Series, err = v.countSeries(context.Background()); err != nil {
		return Status{}, err
	}
	return st, nil
}

func rfc3339(ms int64) string {
	return time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05.000Z07:00")
}

// countSeries counts the distinct series. 64 bits of their identities distinguish them
// apart: 10 million series are miscounted by one with odds of 1 to 400,000.
func (v *View) countSeries(ctx context.Context) (uint64, error) {
	var ids []uint64
	for _, e := range v.st.blocks.Raw() {
		b := e.Block()
		if b == nil {
			continue
		}
		for ord := range uint32(e.Series) {
			if ord%65536 == 0 && ctx.Err() != nil {
				return 0, ctx.Err()
			}
			id, err := b.ID(ord)
			if err != nil {
				break // a damaged index costs the count of this block
			}
			ids = append(ids, id.Hi)
		}
	}
	var b model.LabelBuilder
	for _, tenant := range v.views.head.Tenants() {
		refs, err := v.views.head.Select(ctx, tenant, nil, model.AllTime, v.st.buffers()...)
		if err != nil {
			return 0, err
		}
		for _, ref := range refs {
			if _, id, _, ok := v.views.head.LabelsTo(ref, &b); ok {
				ids = append(ids, id.Hi)
			}
		}
	}
	slices.Sort(ids)
	return uint64(len(slices.Compact(ids))), nil
}
