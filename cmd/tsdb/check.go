package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"

	"tsdb/internal/model"
	"tsdb/internal/vfs"
	"tsdb/storage/doctor"
)

const checkSynopsis = `tsdb check --data DIR [--json]

Verifies every file of a data directory without changing it. While a server runs
on the directory, the log is not checked, and a note says so. The exit code is 0
if nothing is damaged, 1 if there is damage, 2 if the directory could not be
checked.`

// check verifies a data directory and returns the exit code.
func check(args []string, stdout, stderr io.Writer) int {
	fs := flag.NewFlagSet("check", flag.ContinueOnError)
	data := fs.String("data", "./data", "data `directory`")
	asJSON := fs.Bool("json", false, "print the findings as JSON")
	switch err := parse(fs, args, stdout, checkSynopsis); {
	case errors.Is(err, flag.ErrHelp):
		return exitOK
	case err != nil:
		report(stderr, "check", err)
		return exitUsage
	}
	r, err := doctor.Check(context.Background(), vfs.OS, *data)
	if err != nil {
		fmt.Fprintf(stderr, "tsdb check: %v\n", err)
		return exitUsage
	}
	print := printReport
	if *asJSON {
		print = printReportJSON
	}
	if err := print(stdout, r); err != nil {
		fmt.Fprintf(stderr, "tsdb check: %v\n", err)
		return exitUsage
	}
	if len(r.Damage) > 0 {
		return exitFailure
	}
	return exitOK
}

func printReportJSON(w io.Writer, r *doctor.CheckReport) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

func printReport(w io.Writer, r *doctor.CheckReport) error {
	var errs []error
	line := func(format string, args ...any) {
		_, err := fmt.Fprintf(w, format+"\n", args...)
		errs = append(errs, err)
	}
	for _, f := range r.Damage {
		line("damage: %s at %d: %s", f.File, f.Offset, f.What)
	}
	for _, f := range r.Notes {
		line("note: %s at %d: %s", f.File, f.Offset, f.What)
	}
	if r.RollupDays > 0 {
		line("%s of rollups, %d compared with samples", model.FormatCount(r.RollupDays, "day"), r.RollupDaysCompared)
	}
	line("%s, %d bytes verified: %s, %s", model.FormatCount(r.Blocks, "block"), r.Bytes, model.FormatCount(len(r.Damage), "damaged place"), model.FormatCount(len(r.Notes), "note"))
	return errors.Join(errs...)
}
