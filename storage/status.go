package storage

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/model"
	"tsdb/partition/block"
	"tsdb/partition/blockset"
)

// Status describes the stored data, as GET /api/v1/status/storage shows it.
// Bytes are those of block files; the log's stand apart.
type Status struct {
	Series         uint64       `json:"series"` // distinct ones with samples, in memory and in blocks
	Samples        uint64       `json:"samples"`
	Blocks         int          `json:"blocks"`
	Bytes          int64        `json:"bytes"`
	BytesPerSample float64      `json:"bytesPerSample"` // of the samples in blocks; 0 without any
	Head           HeadStatus   `json:"head"`
	WAL            WALStatus    `json:"wal"`
	Tiers          []TierStatus `json:"tiers"`
	FailingJobs    []JobStatus  `json:"failingJobs"` // of the background work
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

// TierStatus lists the partitions of one resolution, or the blocks of a rollup by the
// days that they span.
type TierStatus struct {
	Tier       string            `json:"tier"`
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
	st := Status{Head: db.views.headStatus(), WAL: db.walStatus(), FailingJobs: db.failingJobs()}
	for _, e := range v.st.blocks.Entries() {
		st.Blocks++
		st.Bytes += e.Size
	}
	raw := TierStatus{Tier: block.Raw.String(), Partitions: partitions(v.st.blocks.Raw())}
	var rawBytes int64
	for _, p := range raw.Partitions {
		st.Samples += p.Samples
		rawBytes += p.Bytes
	}
	if st.Samples > 0 {
		st.BytesPerSample = float64(rawBytes) / float64(st.Samples)
	}
	st.Samples += st.Head.Samples
	st.Tiers = append(st.Tiers, raw)
	for _, tier := range block.Rollups {
		of := slices.DeleteFunc(slices.Clone(v.st.blocks.Rollups()), func(e *blockset.Entry) bool { return e.Tier != tier })
		if len(of) > 0 {
			st.Tiers = append(st.Tiers, TierStatus{Tier: tier.String(), Partitions: partitions(of)})
		}
	}
	if st.Series, err = v.countSeries(context.Background()); err != nil {
		return Status{}, err
	}
	return st, nil
}

// partitions adds up the blocks of a tier by the days that they span.
func partitions(entries []*blockset.Entry) []PartitionStatus {
	parts := make(map[model.TimeRange]*PartitionStatus)
	for _, e := range entries {
		var span model.TimeRange
		if e.Level == block.L0 {
			// A cut spans partitions; it is shown where it ends.
			span = e.Tier.PartitionRange(e.MaxTime)
		} else {
			span = e.Span()
		}
		p := parts[span]
		if p == nil {
			p = &PartitionStatus{Start: rfc3339(span.Min), End: rfc3339(span.Max)}
			parts[span] = p
		}
		p.Blocks++
		p.Bytes += e.Size
		p.Samples += e.Samples
		p.Series = max(p.Series, e.Series)
	}
	list := make([]PartitionStatus, 0, len(parts))
	for _, p := range parts {
		list = append(list, *p)
	}
	slices.SortFunc(list, func(a, b PartitionStatus) int {
		return cmp.Or(cmp.Compare(a.Start, b.Start), cmp.Compare(a.End, b.End))
	})
	return list
}

func rfc3339(ms int64) string {
	return time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05.000Z07:00")
}

// countSeries counts the distinct series. 64 bits of their identities tell them
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
	var b labels.ScratchBuilder
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
