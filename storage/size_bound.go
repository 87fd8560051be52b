package storage

import (
	"context"
	"fmt"
	"maps"
	"path"
	"slices"
	"sync/atomic"

	"tsdb/internal/model"
	"tsdb/partition/block"
	"tsdb/partition/blockset"
	"tsdb/partition/compaction"
	"tsdb/partition/manifest"
	"tsdb/storage/snapshot"
)

// sizeBound is the bound of bytes: what its last plan asks of the floors. The job that
// retains makes the plan; rollups read it.
type sizeBound struct {
	plan  atomic.Pointer[compaction.SizePlan] // nil = there is no bound
	unmet atomic.Bool
}

// rawFloor returns the floor of samples that the bound asks for.
func (b *sizeBound) rawFloor() int64 {
	if p := b.plan.Load(); p != nil {
		if floor, ok := p.Floors[block.Raw]; ok {
			return floor
		}
	}
	return manifest.NoFloor
}

// maxBytes returns the bound, 0 for none.
func (r *Retention) maxBytes(total uint64) int64 {
	if r.MaxPercent > 0 {
		return int64(float64(total) * float64(r.MaxPercent) / 100)
	}
	return r.MaxBytes
}

// boundBytes raises the targets of a plan to those of the bound of bytes.
func (c *compactor) boundBytes(ctx context.Context, v *blockset.Version, o *compaction.RetentionOptions) error {
	r := &c.policy.Load().Retention
	if r.MaxBytes == 0 && r.MaxPercent == 0 {
		c.bound.plan.Store(nil)
		c.bound.unmet.Store(false)
		return nil
	}
	total, err := c.fs.TotalBytes(c.dir)
	if err != nil {
		return fmt.Errorf("measure the file system: %w", err)
	}
	plan, err := c.planSize(v, r.maxBytes(total))
	// No sample leaves for the sake of history.
	for err == nil && plan.Used > plan.Limit {
		given, failed := c.past.giveUpOldest("the data exceed --retention.size")
		if failed != nil {
			c.log.Warn("marks of the history cannot be given up, what they pin stays", "err", failed)
		}
		if !given {
			break
		}
		plan, err = c.planSize(v, plan.Limit)
	}
	if err != nil {
		return err
	}
	if c.bound.plan.Store(&plan); len(plan.Floors) > 0 {
		o.Raw = max(o.Raw, c.bound.rawFloor())
		for tier, floor := range plan.Floors {
			if tier != block.Raw {
				o.Tiers[tier] = max(o.Tiers[tier], floor)
			}
		}
	}
	if was := c.bound.unmet.Swap(!plan.Met()); was == plan.Met() {
		if plan.Met() {
			c.log.Info("the bound of bytes can be met again", "limit_bytes", plan.Limit, "used_bytes", plan.Used)
		} else {
			c.log.Error("the bound of bytes cannot be met: what is left is of the newest two days, pinned by snapshots, or the log",
				"limit_bytes", plan.Limit, "used_bytes", plan.Used, "left_bytes", plan.Left)
		}
	}
	return nil
}

// planSize plans how the bytes come below a limit.
func (c *compactor) planSize(v *blockset.Version, limit int64) (compaction.SizePlan, error) {
	other, err := c.otherBytes()
	if err != nil {
		return compaction.SizePlan{Limit: limit}, err
	}
	view := &View{views: c.catalog.views, st: &state{blocks: v}}
	return compaction.PlanSize(v.State(), compaction.SizeOptions{
		NowMs: c.now(), Limit: limit, Other: other, Tiers: slices.Collect(maps.Keys(c.policy.Load().TierMs)),
		Pinned: func(name string) bool {
			info, err := c.fs.Stat(path.Join(c.dir, name))
			return err == nil && info.Links > 1 || c.past.pins(name)
		},
		Standing: func(cover *manifest.Coverage) float64 { return view.standInShare(cover) },
	}), nil
}

// otherBytes returns the bytes of the log, and of files that only snapshots or marks of the
// history have.
func (c *compactor) otherBytes() (int64, error) {
	bytes, _ := c.catalog.wal.Bytes()
	bytes += c.past.status().Bytes
	infos, err := snapshot.List(c.fs, c.dir)
	if err != nil {
		return 0, err
	}
	for _, i := range infos {
		bytes += i.PinnedBytes
	}
	return bytes, nil
}

// moved tells in the log what the bound of bytes has moved, nil if nothing.
func (b *sizeBound) moved(e *manifest.Edit) []any {
	p := b.plan.Load()
	if p == nil || p.Used <= p.Limit || e.Floor == nil && len(e.TierFloors) == 0 {
		return nil
	}
	return []any{"because", "the data exceed --retention.size", "used_bytes", p.Used, "limit_bytes", p.Limit, "left_bytes", p.Left}
}

// warning returns a sentence about a bound that cannot be met, "" if it can.
func (b *sizeBound) warning() string {
	p := b.plan.Load()
	if p == nil || !b.unmet.Load() {
		return ""
	}
	used, limit := model.FormatBytesPair(p.Used, p.Limit)
	return fmt.Sprintf("the data take %s, --retention.size allows %s, and %s cannot leave: the newest two days, what snapshots pin, and the log",
		used, limit, model.FormatBytes(p.Left))
}

// BoundStatus is the bound that decides at the moment what leaves.
type BoundStatus struct {
	// Active is "size" while the data exceed the bound of bytes or it holds floors above
	// those of time, and otherwise "time"; "none" if everything is kept for ever.
	Active     string `json:"active"`
	LimitBytes int64  `json:"limitBytes"` // of --retention.size; 0 = none
	UsedBytes  int64  `json:"usedBytes"`  // blocks, log and files that only snapshots have; 0 without a bound
	LeftBytes  int64  `json:"leftBytes"`  // once what the bound asks for has left
	Met        bool   `json:"met"`
	RawFloor   string `json:"rawFloor,omitempty"` // samples before it have expired, RFC 3339
}

// boundStatus returns the bound in force.
func (db *DB) boundStatus() BoundStatus {
	p := db.policy.Load()
	floor := db.manifest.State().Floor
	st := BoundStatus{Active: "none", Met: true}
	if p.longestRaw() > 0 {
		st.Active = "time"
	}
	if floor != manifest.NoFloor {
		st.RawFloor = rfc3339(floor)
	}
	if plan := db.bound.plan.Load(); plan != nil {
		st.LimitBytes, st.UsedBytes, st.LeftBytes, st.Met = plan.Limit, plan.Used, plan.Left, plan.Met()
		if plan.Used > plan.Limit || floor > target(db.now(), p.longestRaw()) {
			st.Active = "size"
		}
	}
	return st
}
