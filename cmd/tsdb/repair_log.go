package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"time"

	"tsdb/internal/vfs"
	"tsdb/storage"
)

const repairSynopsis = `tsdb repair --data DIR --accept-log-loss=TOKEN

Lets a server start again whose log has lost acknowledged samples, without
them. TOKEN comes from the message with which the start was refused and is
valid for that loss only. No server may run on the directory. The exit code is
0 if it is done, or was before, 1 if not, 2 for a mistake in the command line.`

// repair brings a data directory into a state in which a server starts on it.
func repair(args []string, stdout io.Writer) error {
	fs := flag.NewFlagSet("repair", flag.ContinueOnError)
	data := fs.String("data", "./data", "data `directory`")
	token := fs.String("accept-log-loss", "", "accept the loss of log segments that `token` names")
	if err := parse(fs, args, stdout, repairSynopsis); err != nil {
		return err
	}
	if *token == "" {
		return usageError{errors.New("give --accept-log-loss=TOKEN, with the token of the refused start")}
	}
	return acceptLogLoss(*data, *token, stdout)
}

// acceptLogLoss accepts the loss of log segments that a token names.
func acceptLogLoss(data, token string, stdout io.Writer) error {
	n, err := storage.AcceptLogLoss(context.Background(), vfs.OS, data, token, vfs.SystemClock)
	if errors.Is(err, storage.ErrNoLogLoss) {
		_, err = fmt.Fprintln(stdout, "Nothing to accept: the log holds all that is known to have been on disk.")
		return err
	} else if err != nil {
		return err
	}
	_, err = fmt.Fprintf(stdout, "Accepted: samples received from %s to %s or later are lost. The database goes on without them, as incarnation %016x.\n",
		time.UnixMilli(n.FromMs).UTC().Format(time.RFC3339), time.UnixMilli(n.ToMs).UTC().Format(time.RFC3339), n.ID)
	return err
}
