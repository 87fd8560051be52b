package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"io"
	"path/filepath"

	"tsdb/internal/vfs"
	"tsdb/storage/archive"
	"tsdb/storage/doctor"
)

const inspectSynopsis = `tsdb inspect --data DIR | --file PATH

Shows the partitions, blocks and bytes per sample of a data directory, or one of
its files as offset, bytes, meaning, or a file of an archive. A server may be running
on the directory.`

// inspect describes a data directory or a file.
func inspect(args []string, stdout io.Writer) error {
	fs := flag.NewFlagSet("inspect", flag.ContinueOnError)
	data := fs.String("data", "", "data `directory` to summarise")
	file := fs.String("file", "", "`file` to describe")
	if err := parse(fs, args, stdout, inspectSynopsis); err != nil {
		return err
	}
	if (*data == "") == (*file == "") {
		return usageError{errors.New("give either --data or --file")}
	}
	out := bufio.NewWriterSize(stdout, 64<<10)
	var err error
	if *data != "" {
		err = doctor.Inspect(context.Background(), vfs.OS, *data, out)
	} else {
		err = inspectFile(*file, out)
	}
	return errors.Join(err, out.Flush())
}

// inspectFile describes a file of a data directory or of an archive.
func inspectFile(name string, out io.Writer) error {
	switch filepath.Ext(name) {
	case ".head", ".mark", ".frames":
		return archive.Describe(out, vfs.OS, name)
	}
	return doctor.InspectFile(context.Background(), vfs.OS, name, out)
}
