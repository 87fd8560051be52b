package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"

	"tsdb/internal/vfs"
	"tsdb/storage"
)

const repairSynopsis = `tsdb repair --data DIR [--yes] [--assume-no-deletes] | --accept-log-loss=TOKEN

Brings back the MANIFEST of a data directory on which no server runs: from its
second copy, from what of both is intact, or from the blocks. Without --yes it
only shows what it would do. Files that it replaces are kept as
MANIFEST.damaged-1 and so on.

With --accept-log-loss it lets a server start again whose log has lost
acknowledged samples, without them. TOKEN comes from the message with which the
start was refused and is valid for that loss only.

The exit code is 0 if nothing is to be done or all is done, 1 if something would
be done or cannot be, 2 for a mistake in the command line or a directory that
cannot be read.`

// repair brings a data directory into a state in which a server starts on it, and
// returns the exit code.
func repair(args []string, stdout, stderr io.Writer) int {
	fs := flag.NewFlagSet("repair", flag.ContinueOnError)
	data := fs.String("data", "./data", "data `directory`")
	yes := fs.Bool("yes", false, "do what is shown without it")
	noDeletes := fs.Bool("assume-no-deletes", false, "take it that lost edits of the MANIFEST recorded no deletion; if they did, what was deleted comes back")
	token := fs.String("accept-log-loss", "", "accept the loss of log segments that `token` names")
	err := parse(fs, args, stdout, repairSynopsis)
	if err == nil && *token != "" && (*yes || *noDeletes) {
		err = usageError{errors.New("give either --accept-log-loss or --yes and --assume-no-deletes")}
	}
	switch {
	case errors.Is(err, flag.ErrHelp):
		return exitOK
	case err != nil:
		report(stderr, "repair", err)
		return exitUsage
	case *token != "":
		return report(stderr, "repair", acceptLogLoss(*data, *token, stdout))
	}
	return repairManifest(*data, storage.RepairOptions{Apply: *yes, AssumeNoDeletes: *noDeletes}, stdout, stderr)
}

// repairManifest plans or does a repair of the MANIFEST.
func repairManifest(data string, o storage.RepairOptions, stdout, stderr io.Writer) int {
	r, err := storage.Repair(context.Background(), vfs.OS, data, o)
	if r != nil {
		for _, line := range r.Lines {
			fmt.Fprintln(stdout, line)
		}
		for _, name := range r.Kept {
			fmt.Fprintf(stdout, "kept the old file as %s\n", name)
		}
	}
	switch {
	case errors.Is(err, storage.ErrNoRepair):
		fmt.Fprintf(stderr, "tsdb repair: %v\n", err)
		return exitFailure
	case err != nil:
		fmt.Fprintf(stderr, "tsdb repair: %v\n", err)
		return exitUsage
	case !r.Needed:
		return exitOK
	case !o.Apply:
		fmt.Fprintln(stdout, "Nothing was changed: repeat with --yes to do it.")
		return exitFailure
	}
	fmt.Fprintln(stdout, "Done. Verify with tsdb check before the next start.")
	return exitOK
}
