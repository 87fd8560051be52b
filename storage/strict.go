package storage

import (
	"errors"
	"fmt"
	iofs "io/fs"

	"tsdb/partition/format"
	"tsdb/storage/log"
)

// ErrStrict is returned by Open with Options.Strict for a data directory that is
// damaged. Nothing in it has been changed.
var ErrStrict = errors.New("refused by strict mode")

// strictReasons bounds the reasons in an error of strict mode.
const strictReasons = 10

// strict returns ErrStrict with what is damaged, nil if nothing is. It runs
// before anything is repaired, cut off or moved, so that a person finds what
// there was. What a crash leaves is no damage.
func (db *DB) strict(rec log.Recovery) error {
	reasons, err := db.damages(rec)
	if err != nil || len(reasons) == 0 {
		return err
	}
	more := len(reasons) - strictReasons
	if more > 0 {
		reasons = append(reasons[:strictReasons], fmt.Errorf("and %d more", more))
	}
	return fmt.Errorf("%w: %w", ErrStrict, errors.Join(reasons...))
}

// damages returns what a start would quarantine, skip, or restore from a copy.
func (db *DB) damages(rec log.Recovery) ([]error, error) {
	var reasons []error
	report := rec.Report()
	for _, d := range report.Damage {
		reasons = append(reasons, fmt.Errorf("log: %s@%d: %s", d.File, d.Offset, d))
	}
	if report.ListErr != nil {
		reasons = append(reasons, report.ListErr)
	}
	l, err := openListed(db.fs, db.dir)
	defer l.close()
	if errors.Is(err, iofs.ErrNotExist) {
		return reasons, nil // a new database, or one that OpenManifest refuses
	} else if err != nil {
		return nil, err
	}
	for _, c := range l.copies {
		switch {
		case c.Damaged():
			reasons = append(reasons, c.Err)
		case c.Name == format.ManifestName && c.Err != nil:
			reasons = append(reasons, fmt.Errorf("%s is missing, %s is there", c.Name, format.TwinName))
		case c.Name == format.ManifestName && c.State.Number < l.state.Number:
			reasons = append(reasons, fmt.Errorf("%s ends at edit %d, %s at edit %d", c.Name, c.State.Number, format.TwinName, l.state.Number))
		}
	}
	for _, want := range l.state.Sorted() {
		if err := l.errs[want.Name]; err != nil {
			reasons = append(reasons, fmt.Errorf("block %s: %w", want.Name, err))
		} else if got := l.blocks[want.Name].Info(); got.Size != want.Size || got.CRC != want.CRC {
			reasons = append(reasons, fmt.Errorf("block %s: another block than the MANIFEST lists", want.Name))
		}
	}
	return reasons, nil
}
