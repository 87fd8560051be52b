package main

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"tsdb/internal/model"
	"tsdb/internal/objstore"
	"tsdb/internal/vfs"
	"tsdb/storage/archive"
)

const restoreSynopsis = `tsdb restore --from DIR|s3://BUCKET/PREFIX --to DIR [--at TIME | --at-lsn N] [flags]
       tsdb restore --from DIR|s3://BUCKET/PREFIX --list

Makes a data directory of an archived moment, the newest by default. Between two
backups every moment can be restored if the server kept its log files for long
enough (--wal.keep). The restored database is a new incarnation. After an interruption
the same command goes on where it was.`

// restore restores a database from an archive, or lists what is in one.
func restore(args []string, stdout, stderr io.Writer) error {
	fs := flag.NewFlagSet("restore", flag.ContinueOnError)
	from := fs.String("from", "", "`directory` of the archive, or s3://bucket/prefix")
	to := fs.String("to", "", "`directory` to restore to: missing or empty")
	at := fs.String("at", "", "`time` to restore, as RFC 3339 or Unix seconds")
	lsn := fs.String("at-lsn", "", "`number` of the last log frame to restore")
	incarnation := fs.String("incarnation", "", "`id` of the incarnation, if the archive has several")
	list := fs.Bool("list", false, "list the archived moments")
	accept := fs.Bool("accept-damage", false, "restore the rest of a moment of which the archive lacks blocks, or has damaged ones: queries over their times warn; where the log is damaged it ends")
	rate := new(sizeOrNone)
	fs.Var(rate, "rate", "maximum `bytes` per second; 0 = no limit")
	var bucket s3Flags
	bucket.register(fs)
	if err := parse(fs, args, stdout, restoreSynopsis); err != nil {
		return err
	}
	target, err := parseTarget(*at, *lsn)
	switch {
	case err != nil:
		return usageError{err}
	case *from == "" || (*to == "") != *list:
		return usageError{errors.New("give --from, and either --to or --list")}
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	store, err := openArchive(ctx, *from, bucket, false)
	if err != nil {
		return err
	}
	found, err := archive.List(ctx, store)
	if err != nil {
		return err
	}
	for _, i := range found {
		if i.Damage != nil {
			fmt.Fprintf(stderr, "tsdb restore: the list of moments of incarnation %s is damaged; those that lie beside it are taken, dropped ones too: %v\n", archive.IncarnationID(i.ID), i.Damage)
		}
	}
	if *list {
		return printArchive(stdout, found)
	}
	id, err := chooseIncarnation(found, *incarnation)
	if err != nil {
		return err
	}
	return restoreTo(ctx, store, id, target, *to, int64(*rate), *accept, stdout, stderr)
}

func restoreTo(ctx context.Context, store objstore.Store, id uint64, target archive.Target, to string, rate int64, accept bool, stdout, stderr io.Writer) error {
	var random [8]byte
	_, _ = rand.Read(random[:]) // never fails
	r, err := archive.Restore(ctx, archive.RestoreOptions{
		Store: store, Incarnation: id, Target: target, FS: vfs.OS, Dir: filepath.ToSlash(filepath.Clean(to)),
		NewIncarnation: binary.LittleEndian.Uint64(random[:]) | 1, BytesPerSecond: rate, Progress: printProgress(stderr, "restore"),
		AcceptDamage: accept,
	})
	if errors.Is(err, archive.ErrDamaged) {
		return fmt.Errorf("%w; --accept-damage restores what is sound. If the database still has what is damaged, remove the object from the archive and back up again", err)
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(stdout, "Restored the backup of %s and the log up to LSN %d: %s with %d bytes, %s.\n",
		moment(r.Mark.WallMs), r.LSN, model.FormatCount(r.Blocks, "block"), r.Bytes, model.FormatCount(r.Frames, "log frame"))
	err = errors.Join(err, printDamaged(stdout, "Restored without, or with damage in", r.Damaged))
	if r.LogErr != nil {
		_, printErr := fmt.Fprintf(stdout, "Restored without the log after LSN %d: %v\n", r.LSN, r.LogErr)
		err = errors.Join(err, printErr)
	}
	return err
}

// parseTarget reads the flags that name a moment.
func parseTarget(at, lsn string) (t archive.Target, err error) {
	if at != "" && lsn != "" {
		return t, errors.New("give either --at or --at-lsn")
	}
	if lsn != "" {
		n, err := strconv.ParseUint(lsn, 10, 64)
		if err != nil {
			return t, fmt.Errorf("--at-lsn %q is not a number", lsn)
		}
		t.LSN = &n
	}
	if at != "" {
		ms, err := parseMoment(at)
		if err != nil {
			return t, err
		}
		t.AtMs = &ms
	}
	return t, nil
}

// parseMoment returns a time in Unix milliseconds.
func parseMoment(s string) (int64, error) {
	if sec, err := strconv.ParseFloat(s, 64); err == nil && math.Abs(sec) < math.MaxInt64/1000 {
		return int64(math.Round(sec * 1000)), nil
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return 0, fmt.Errorf("--at %q is neither a time such as 2026-11-30T01:02:03Z nor Unix seconds", s)
	}
	return t.UnixMilli(), nil
}

// chooseIncarnation returns the incarnation to restore.
func chooseIncarnation(found []archive.Incarnation, name string) (uint64, error) {
	if name != "" {
		return archive.ParseIncarnation(name)
	}
	switch len(found) {
	case 0:
		return 0, archive.ErrEmpty
	case 1:
		return found[0].ID, nil
	}
	return 0, usageError{errors.New("the archive has several incarnations: choose one of --list with --incarnation")}
}

// printArchive lists the moments in an archive.
func printArchive(w io.Writer, found []archive.Incarnation) error {
	if len(found) == 0 {
		return archive.ErrEmpty
	}
	var errs []error
	for _, i := range found {
		_, err := fmt.Fprintf(w, "incarnation %s\n", archive.IncarnationID(i.ID))
		errs = append(errs, err)
		for _, m := range i.Marks {
			_, err := fmt.Fprintf(w, "  %s  LSN %d  edit %d\n", moment(m.WallMs), m.LSN, m.Edit)
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
