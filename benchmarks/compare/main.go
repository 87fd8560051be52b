package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "compare:", err)
		os.Exit(1)
	}
}

// run runs a sub-command, write if none is named.
func run(args []string) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	switch {
	case len(args) > 0 && args[0] == "query":
		return runQuery(ctx, args[1:])
	case len(args) > 0 && args[0] == "rollup":
		return runRollup(ctx, args[1:])
	case len(args) > 0 && args[0] == "start":
		return runStart(ctx, args[1:])
	case len(args) > 0 && args[0] == "import":
		return runImport(ctx, args[1:])
	case len(args) > 0 && args[0] == "doors":
		return runDoors(ctx, args[1:])
	case len(args) > 0 && args[0] == "write":
		return runWrite(ctx, args[1:])
	}
	return runWrite(ctx, args)
}
