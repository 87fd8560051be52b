package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"tsdb/internal/model"
	"tsdb/internal/vfs"
	"tsdb/storage/archive"
)

const backupSynopsis = `tsdb backup --from URL|DIR --to DIR|s3://BUCKET/PREFIX [flags]

Archives the present moment of a database. URL is a running server, with user and
password if it asks for them: http://user:password@host:9201/. It takes a
temporary snapshot, which is read over HTTP. DIR is a data directory on which no
server runs, or a snapshot. What the archive has already is not sent again; after an
interruption the same command goes on where it was. A damaged block is left out and
named, all others are archived, and the command fails. It also fails, once, if earlier
moments in the archive are damaged; the new one does not depend on them. The
credentials of S3 come from AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and
AWS_SESSION_TOKEN.`

// backup archives a database.
func backup(args []string, stdout, stderr io.Writer) error {
	fs := flag.NewFlagSet("backup", flag.ContinueOnError)
	from := fs.String("from", "", "`URL` of a server, or a data directory or snapshot")
	to := fs.String("to", "", "`directory` of the archive, or s3://bucket/prefix")
	rate := new(sizeOrNone)
	fs.Var(rate, "rate", "maximum `bytes` per second; 0 = no limit")
	keep := new(duration)
	fs.Var(keep, "keep", "`duration` after which moments are dropped from the archive, but never the newest; 0 = none")
	grace := duration(archive.DefaultGrace)
	fs.Var(&grace, "grace", "`duration` for which objects stay that no moment needs any more")
	ca := fs.String("ca", "", "PEM `file` of the authorities that may have signed the server's certificate, instead of the system's")
	token := fs.String("token-file", "", "`file` with a token for the server: user:password, or the password alone")
	var bucket s3Flags
	bucket.register(fs)
	if err := parse(fs, args, stdout, backupSynopsis); err != nil {
		return err
	}
	if *from == "" || *to == "" {
		return usageError{errors.New("give both --from and --to")}
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	store, err := openArchive(ctx, *to, bucket, true)
	if err != nil {
		return err
	}
	o := archive.BackupOptions{
		FS: vfs.OS, Dir: *from, Store: store, BytesPerSecond: int64(*rate), Keep: time.Duration(*keep), Grace: time.Duration(grace),
		Progress: printProgress(stderr, "backup"),
	}
	if isURL(*from) {
		server, err := newSnapshotClient(*from, *ca, *token)
		if err != nil {
			return err
		}
		remote, err := server.open(ctx)
		if err != nil {
			return err
		}
		defer func() {
			if err := server.remove(remote.name); err != nil {
				fmt.Fprintf(stderr, "tsdb backup: snapshot %s stays on the server, which removes it after six hours: %v\n", remote.name, err)
			}
		}()
		o.FS, o.Dir = remote, remoteDir
	}
	r, err := archive.Backup(ctx, o)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(stdout, "Archived %s, LSN %d, of incarnation %s: %s with %d bytes; %s with %d bytes. Dropped %s, deleted %s.\n",
		moment(r.Mark.WallMs), r.Mark.LSN, archive.IncarnationID(r.Incarnation), model.FormatCount(r.Blocks, "block"), r.BlockBytes,
		model.FormatCount(r.Written, "new object"), r.WrittenBytes, model.FormatCount(r.DroppedMarks, "moment"), model.FormatCount(r.Deleted, "object"))
	err = errors.Join(err, printDamaged(stdout, "Not archived", r.Damaged), printLost(stdout, r))
	if n := len(r.Damaged); n > 0 {
		return errors.Join(err, fmt.Errorf("the backup is not complete: %d of %s could not be read; `tsdb check` tells what is wrong, and the next backup tries them again", n, model.FormatCount(r.Blocks, "block")))
	}
	if n := len(r.DamagedMarks); n > 0 {
		return errors.Join(err, fmt.Errorf("damage in the archive: %s cannot be restored; the present one does not depend on it, and the next backup will not mention it", model.FormatCount(n, "earlier moment")))
	}
	return err
}

// printLost prints what a backup has found damaged in the archive.
func printLost(w io.Writer, r *archive.BackupReport) error {
	var errs []error
	if r.DamagedHead != nil {
		_, err := fmt.Fprintf(w, "The list of archived moments was damaged, and is written anew from those that were found: %v\n", r.DamagedHead)
		errs = append(errs, err)
	}
	for _, m := range r.DamagedMarks {
		_, err := fmt.Fprintf(w, "Lost %s, LSN %d: %v\n", moment(m.WallMs), m.LSN, m.Err)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// printDamaged prints the blocks that could not be read.
func printDamaged(w io.Writer, what string, blocks []archive.DamagedBlock) error {
	var errs []error
	for _, d := range blocks {
		_, err := fmt.Fprintf(w, "%s %s: %v\n", what, d.Name, d.Err)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func moment(ms int64) string {
	return time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05.000Z07:00")
}

func isURL(s string) bool { return strings.HasPrefix(s, "http://") || strings.HasPrefix(s, "https://") }

// printProgress returns a function that prints the progress of a command.
func printProgress(stderr io.Writer, command string) func(archive.Progress) {
	return func(p archive.Progress) {
		seconds := max(p.Elapsed.Seconds(), 0.001)
		rate := float64(p.Done) / seconds
		left := "0s"
		if rate > 0 {
			left = time.Duration(float64(p.Total-p.Done) / rate * float64(time.Second)).Round(time.Second).String()
		}
		fmt.Fprintf(stderr, "%s: %s of %s, %s/s, %s left\n", command, model.FormatBytes(p.Done), model.FormatBytes(p.Total), model.FormatBytes(int64(rate)), left)
	}
}
