package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"

	"tsdb/internal/vfs"
	"tsdb/storage/doctor"
)

const repairSynopsis = `tsdb repair --data DIR [--yes] [--assume-no-deletes] | --accept-log-loss=TOKEN

Restores the MANIFEST of a data directory on which no server runs: from its
second copy, from the intact parts of both, or from the blocks. Without --yes it
only shows the changes. Replaced files are kept as MANIFEST.damaged-1 and so on.
If the MANIFEST is intact, damaged rollups are dropped as far as samples are left
to make them again, which the next start does.

With --accept-log-loss a server whose log has lost acknowledged samples can start
again without them. TOKEN is in the error message of the refused start and is
valid for that loss only.

The exit code is 0 if no repair is needed or it has succeeded, 1 if a repair is
needed or is not possible, 2 if the command line is invalid or the directory
cannot be read.`

// repair makes a server start again on a damaged data directory, and returns the
// exit code.
func repair(args []string, stdout, stderr io.Writer) int {
	fs := flag.NewFlagSet("repair", flag.ContinueOnError)
	data := fs.String("data", "./data", "data `directory`")
	yes := fs.Bool("yes", false, "make the changes instead of showing them")
	noDeletes := fs.Bool("assume-no-deletes", false, "assume that lost edits of the MANIFEST recorded no deletions; if they did, the deleted samples reappear")
	token := fs.String("accept-log-loss", "", "accept the loss of the log segments identified by `token`")
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
	return repairManifest(*data, doctor.RepairOptions{Apply: *yes, AssumeNoDeletes: *noDeletes}, stdout, stderr)
}

// repairManifest plans or makes a repair of the MANIFEST.
func repairManifest(data string, o doctor.RepairOptions, stdout, stderr io.Writer) int {
	r, err := doctor.Repair(context.Background(), vfs.OS, data, o)
	if r != nil {
		for _, line := range r.Lines {
			fmt.Fprintln(stdout, line)
		}
		for _, name := range r.Kept {
			fmt.Fprintf(stdout, "kept the old file as %s\n", name)
		}
	}
	switch {
	case errors.Is(err, doctor.ErrNoRepair):
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
