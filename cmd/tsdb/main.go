package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
)

// version is set when the binary is built.
var version = "unknown"

const usage = `tsdb is a time-series database server.

Usage:

  tsdb serve [flags]              accept samples and answer queries
  tsdb check --data DIR [--json]  verify a data directory without changing it
  tsdb repair --data DIR [--yes]  restore a damaged MANIFEST; without --yes, show how
  tsdb import KIND SOURCE… --to DIR|URL
                                  bring in samples from other servers and files
  tsdb export --from DIR|URL --to FILE
                                  write samples as JSON lines, CSV, OpenMetrics, Parquet
  tsdb inspect --data DIR         show the contents of a data directory
  tsdb inspect --file PATH        show one file as offset, bytes, meaning
  tsdb backup --from URL|DIR --to DIR
                                  archive a running server, a data directory or a snapshot
  tsdb restore --from DIR --to DIR [--at TIME]
                                  make a data directory of an archived moment
  tsdb repair --data DIR --accept-log-loss=TOKEN
                                  continue without the samples that the log has lost
  tsdb --version                  print the version

tsdb COMMAND --help lists the flags of a command.
To get started, run tsdb serve --data ./data and open http://localhost:9201/
`

// Exit codes.
const (
	exitOK      = 0
	exitFailure = 1
	exitUsage   = 2
)

// usageError is a mistake in the command line or the configuration file.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// run executes one command and returns the exit code.
func run(args []string, stdout, stderr io.Writer) int {
	if len(args) == 0 {
		fmt.Fprint(stderr, usage)
		return exitUsage
	}
	command := args[0]
	switch command {
	case "serve":
		return report(stderr, command, serve(args[1:], stdout, stderr))
	case "check":
		return check(args[1:], stdout, stderr)
	case "repair":
		return repair(args[1:], stdout, stderr)
	case "import":
		return report(stderr, command, importCommand(args[1:], stdout, stderr))
	case "export":
		return report(stderr, command, exportCommand(args[1:], stdout, stderr))
	case "inspect":
		return report(stderr, command, inspect(args[1:], stdout))
	case "backup":
		return report(stderr, command, backup(args[1:], stdout, stderr))
	case "restore":
		return report(stderr, command, restore(args[1:], stdout, stderr))
	case "version", "--version", "-version":
		fmt.Fprintf(stdout, "tsdb %s (%s, %s/%s)\n", version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
		return exitOK
	case "help", "--help", "-help", "-h":
		fmt.Fprint(stdout, usage)
		return exitOK
	}
	fmt.Fprintf(stderr, "tsdb: unknown command %q\n\n%s", command, usage)
	return exitUsage
}

// report prints err and returns the corresponding exit code.
func report(stderr io.Writer, command string, err error) int {
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return exitOK
	case errors.As(err, &usageError{}):
		fmt.Fprintf(stderr, "tsdb %s: %v\nRun tsdb %s --help for its flags.\n", command, err, command)
		return exitUsage
	}
	fmt.Fprintf(stderr, "tsdb %s: %v\n", command, err)
	return exitFailure
}

// parse parses a command line into fs without printing errors, and returns a
// usageError if it is invalid.
func parse(fs *flag.FlagSet, args []string, stdout io.Writer, synopsis string) error {
	words, err := parseMixed(fs, args, stdout, synopsis)
	if err == nil && len(words) > 0 {
		return usageError{fmt.Errorf("unexpected argument %q", words[0])}
	}
	return err
}

// parseMixed is parse for a command line in which words may stand between the flags.
// It returns them.
func parseMixed(fs *flag.FlagSet, args []string, stdout io.Writer, synopsis string) (words []string, err error) {
	fs.SetOutput(io.Discard)
	fs.Usage = func() {}
	for {
		err := fs.Parse(args)
		switch {
		case errors.Is(err, flag.ErrHelp):
			fmt.Fprintf(stdout, "Usage: %s\n\n", synopsis)
			printFlags(stdout, fs)
			return nil, err
		case err != nil:
			return nil, usageError{errors.New(twoDashes.Replace(err.Error()))}
		case fs.NArg() == 0:
			return words, nil
		}
		words, args = append(words, fs.Arg(0)), fs.Args()[1:]
	}
}

// twoDashes writes the flags in the errors of package flag with two dashes.
var twoDashes = strings.NewReplacer(
	"flag provided but not defined: -", "unknown flag --",
	"flag needs an argument: -", "a value is missing after --",
	"for flag -", "for --",
	"\" for -", "\" for --", // of a boolean
	"boolean value", "value",
)

// printFlags lists the flags with two dashes.
func printFlags(w io.Writer, fs *flag.FlagSet) {
	fs.VisitAll(func(f *flag.Flag) {
		value, text := flag.UnquoteUsage(f)
		if b, ok := f.Value.(interface{ IsBoolFlag() bool }); ok && b.IsBoolFlag() {
			value = ""
		} else if value != "" {
			value = " " + value
		}
		fmt.Fprintf(w, "  --%s%s\n    \t%s", f.Name, value, text)
		if f.DefValue != "" && f.DefValue != "false" {
			fmt.Fprintf(w, " (default %s)", f.DefValue)
		}
		fmt.Fprintln(w)
	})
}
