package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"tsdb/internal/vfs"
	"tsdb/storage/doctor"
)

// acceptLogLoss accepts the loss of the log segments identified by token.
func acceptLogLoss(data, token string, stdout io.Writer) error {
	n, err := doctor.AcceptLogLoss(context.Background(), vfs.OS, data, token, vfs.SystemClock)
	if errors.Is(err, doctor.ErrNoLogLoss) {
		_, err = fmt.Fprintln(stdout, "Nothing to accept: the log holds all that is known to have been on disk.")
		return err
	} else if err != nil {
		return err
	}
	_, err = fmt.Fprintf(stdout, "Accepted: samples received from %s to %s or later are lost. The database goes on without them, as incarnation %016x.\n",
		time.UnixMilli(n.FromMs).UTC().Format(time.RFC3339), time.UnixMilli(n.ToMs).UTC().Format(time.RFC3339), n.ID)
	return err
}
