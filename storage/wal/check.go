package wal

import (
	"errors"
	"fmt"
	iofs "io/fs"
	"path"

	"tsdb/internal/vfs"
	"tsdb/storage/log"
)

// Check reads the whole log in dir, payloads included, and reports what is
// wrong: file is the path, off the offset in it, note is true for findings that
// are normal after a crash. It changes nothing. An error means that the log could
// not be read.
func Check(fs vfs.FS, dir string, o Options, report func(file string, off int64, what string, note bool)) error {
	r, err := Scan(fs, dir, o)
	if err != nil {
		return err
	}
	for _, d := range r.report.Damage {
		report(d.File, d.Offset, d.String(), false)
	}
	if n := r.report.Damages - len(r.report.Damage); n > 0 {
		report(dir, 0, fmt.Sprintf("%d further damages", n), false)
	}
	if t := r.report.Torn; t.File != "" {
		report(t.File, t.Offset, fmt.Sprintf("torn tail of %d bytes from LSN %d on, nothing of it was acknowledged", t.Bytes, t.FirstLSN), true)
	}
	for _, s := range r.segments {
		if err := checkPayloads(fs, s, report); err != nil {
			return fmt.Errorf("check log: %w", err)
		}
	}
	names, err := fs.List(dir)
	if errors.Is(err, iofs.ErrNotExist) {
		return nil
	} else if err != nil {
		return fmt.Errorf("check log: %w", err)
	}
	for _, n := range names {
		_, kept := parseKept(n)
		switch _, suffix, ok := parseName(n); {
		case kept: // its samples are in blocks
		case !ok:
			report(path.Join(dir, n), 0, "not a file of the log", true)
		case suffix == badSuffix:
			report(path.Join(dir, n), 0, "a damaged segment put aside, its samples are in blocks", true)
		}
	}
	return nil
}

func checkPayloads(fs vfs.FS, s *scannedSegment, report func(file string, off int64, what string, note bool)) error {
	if len(s.extents) == 0 {
		return nil
	}
	file, err := fs.Open(s.name)
	if err != nil {
		return err
	}
	defer file.Close()
	w := &fileReader{file: file, size: s.end()}
	var d log.PayloadDecoder
	for _, ext := range s.extents {
		for at := ext.off; at < ext.end; {
			f, size, ok, err := readFrame(w, at, seedOf(s.id))
			if err != nil {
				return err
			}
			if !ok {
				report(s.name, at, errFrameChanged.Error(), false)
				break
			}
			if err := d.Decode(f); err != nil {
				report(s.name, at, fmt.Sprintf("frame with LSN %d: %v", f.LSN, err), false)
			}
			at += int64(size)
		}
	}
	return nil
}
