package main

import (
	"errors"
	"flag"
	"io"
)

const inspectSynopsis = `tsdb inspect --data DIR | --file PATH

Shows partitions, blocks and bytes a sample of a data directory, or one file of
it as offset, bytes, meaning.`

func inspect(args []string, stdout, stderr io.Writer) error {
	fs := flag.NewFlagSet("inspect", flag.ContinueOnError)
	data := fs.String("data", "", "data `directory` to summarise")
	file := fs.String("file", "", "`file` to take apart")
	if err := parse(fs, args, stdout, inspectSynopsis); err != nil {
		return err
	}
	if (*data == "") == (*file == "") {
		return usageError{errors.New("give either --data or --file")}
	}
	return errors.New("not wired")
}
