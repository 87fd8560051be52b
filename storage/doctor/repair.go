package doctor

import (
	"context"
	"errors"
	"fmt"

	"tsdb/internal/vfs"
	"tsdb/partition/repair"
	"tsdb/storage/datadir"
)

// ErrNoRepair is returned by Repair when the MANIFEST cannot be brought back
// without the risk of wrong answers.
var ErrNoRepair = errors.New("no repair is possible")

// repairOwner is the name of the command in LOCK.
const repairOwner = "tsdb repair"

// RepairOptions are the choices of a repair.
type RepairOptions struct {
	// Apply carries out the plan; without it Repair only plans.
	Apply bool
	// AssumeNoDeletes takes it that edits of the MANIFEST which are lost
	// recorded no deletion.
	AssumeNoDeletes bool
	Clock           vfs.Clock // nil = the system clock
}

// RepairReport describes a repair that was done or planned.
type RepairReport struct {
	Lines  []string // for people
	Needed bool     // the MANIFEST or a rollup needs a repair
	Kept   []string // files under which damaged ones were kept
}

// Repair brings back the MANIFEST of a data directory on which no process runs:
// from the copy that is whole, from intact records of both, or from those and
// the footers of the blocks. If it refuses, the error is ErrNoRepair, and the
// report lists the findings.
//
// If the MANIFEST is whole, Repair checks the rollups: it uncovers the days of
// damaged ones, so that the next start makes them again from samples.
func Repair(ctx context.Context, fs vfs.FS, dir string, o RepairOptions) (*RepairReport, error) {
	owner := ""
	if o.Apply {
		owner = repairOwner
	}
	unlock, err := datadir.Lock(fs, dir, owner)
	if err != nil {
		return nil, err
	}
	defer unlock()
	rec, err := datadir.ScanLog(fs, dir)
	if err != nil {
		return nil, err
	}
	if o.Clock == nil {
		o.Clock = vfs.SystemClock
	}
	high := rec.Highest()
	plan, err := repair.NewPlan(ctx, fs, dir, repair.Options{
		Edit: rec.Report().Edit, Generations: rec.Generations(), Holds: rec.Holds, Damaged: rec.Report().Damages > 0 || rec.Loss(0) != nil,
		High:  repair.High{Generation: high.Generation, LSN: high.LSN, Segment: high.Segment},
		NowMs: o.Clock.Now().UnixMilli(), AssumeNoDeletes: o.AssumeNoDeletes,
	})
	if err != nil {
		return nil, fmt.Errorf("plan the repair of %s: %w", dir, err)
	}
	r := &RepairReport{Lines: plan.Lines, Needed: plan.Needed}
	if plan.Refused != "" {
		return r, fmt.Errorf("%w: %s", ErrNoRepair, plan.Refused)
	}
	if !plan.Needed {
		if err := repairRollups(ctx, fs, dir, o, r); err != nil {
			return r, fmt.Errorf("repair the rollups of %s: %w", dir, err)
		}
		return r, nil
	}
	if !o.Apply {
		return r, nil
	}
	if r.Kept, err = plan.Apply(fs, dir); err != nil {
		return r, fmt.Errorf("repair %s: %w", dir, err)
	}
	return r, nil
}
