package datadir

import (
	"errors"
	"fmt"
	iofs "io/fs"

	"tsdb/internal/vfs"
	"tsdb/partition/format"
	"tsdb/storage/log"
)

// ErrStrict is returned in strict mode for a data directory that is
// damaged. Nothing in it has been changed.
var ErrStrict = errors.New("refused by strict mode")

// strictReasons bounds the reasons in an error of strict mode.
const strictReasons = 10

// CheckStrict returns ErrStrict with all damage, nil if there is none. It runs
// before anything is repaired, cut off or moved, so that people find the directory
// as it was. The remains of a crash are no damage.
func CheckStrict(fs vfs.FS, dir string, rec log.Recovery) error {
	reasons, err := damages(fs, dir, rec)
	if err != nil || len(reasons) == 0 {
		return err
	}
	more := len(reasons) - strictReasons
	if more > 0 {
		reasons = append(reasons[:strictReasons], fmt.Errorf("and %d more", more))
	}
	return fmt.Errorf("%w: %w", ErrStrict, errors.Join(reasons...))
}

// damages returns the damage that a start would quarantine, skip, or restore from a
// copy.
func damages(fs vfs.FS, dir string, rec log.Recovery) ([]error, error) {
	var reasons []error
	report := rec.Report()
	for _, d := range report.Damage {
		reasons = append(reasons, fmt.Errorf("log: %s@%d: %s", d.File, d.Offset, d))
	}
	if report.ListErr != nil {
		reasons = append(reasons, report.ListErr)
	}
	l := OpenListed(fs, dir)
	defer l.Close()
	if errors.Is(l.Err, iofs.ErrNotExist) {
		return reasons, nil // a new database, or one that OpenManifest refuses
	} else if l.Err != nil {
		return nil, l.Err
	}
	for _, c := range l.Copies {
		switch {
		case c.Damaged():
			reasons = append(reasons, c.Err)
		case c.Name == format.ManifestName && c.Err != nil:
			reasons = append(reasons, fmt.Errorf("%s is missing, %s is there", c.Name, format.TwinName))
		case c.Name == format.ManifestName && c.State.Number < l.State.Number:
			reasons = append(reasons, fmt.Errorf("%s ends at edit %d, %s at edit %d", c.Name, c.State.Number, format.TwinName, l.State.Number))
		}
	}
	for _, want := range l.State.Sorted() {
		if err := l.Errs[want.Name]; err != nil {
			reasons = append(reasons, fmt.Errorf("block %s: %w", want.Name, err))
		} else if got := l.Blocks[want.Name].Info(); got.Size != want.Size || got.CRC != want.CRC {
			reasons = append(reasons, fmt.Errorf("block %s: another block than the MANIFEST lists", want.Name))
		}
	}
	return reasons, nil
}
