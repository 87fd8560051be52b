package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"io"

	"tsdb/internal/vfs"
	"tsdb/storage"
)

const inspectSynopsis = `tsdb inspect --data DIR | --file PATH

Shows partitions, blocks and bytes a sample of a data directory, on which a
server may run, or one file of it as offset, bytes, meaning.`

// inspect describes a data directory or a file.
func inspect(args []string, stdout io.Writer) error {
	fs := flag.NewFlagSet("inspect", flag.ContinueOnError)
	data := fs.String("data", "", "data `directory` to summarise")
	file := fs.String("file", "", "`file` to take apart")
	if err := parse(fs, args, stdout, inspectSynopsis); err != nil {
		return err
	}
	if (*data == "") == (*file == "") {
		return usageError{errors.New("give either --data or --file")}
	}
	out := bufio.NewWriterSize(stdout, 64<<10)
	var err error
	if *data != "" {
		err = storage.Inspect(context.Background(), vfs.OS, *data, out)
	} else {
		err = storage.InspectFile(context.Background(), vfs.OS, *file, out)
	}
	return errors.Join(err, out.Flush())
}
