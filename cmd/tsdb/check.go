package main

import (
	"flag"
	"io"
)

const checkSynopsis = `tsdb check --data DIR [--json]

Verifies every file of a data directory without changing it. The exit code is
0 if all is well, 1 if there is damage, 2 if the directory could not be checked.`

func check(args []string, stdout, stderr io.Writer) int {
	fs := flag.NewFlagSet("check", flag.ContinueOnError)
	data := fs.String("data", "./data", "data `directory`")
	asJSON := fs.Bool("json", false, "print the findings as JSON")
	if err := parse(fs, args, stdout, checkSynopsis); err != nil {
		return report(stderr, "check", err)
	}
	_, _ = data, asJSON
	return 2
}
