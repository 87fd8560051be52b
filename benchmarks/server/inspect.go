package server

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
)

// accountTSDB runs tsdb inspect on a data directory.
func accountTSDB(ctx context.Context, program, dir string) (Account, string, error) {
	out, err := exec.CommandContext(ctx, program, "inspect", "--data", dir).CombinedOutput()
	if err != nil {
		return Account{}, "", fmt.Errorf("inspect: %w\n%s", err, out)
	}
	a, err := parseInspect(string(out))
	if err != nil {
		err = fmt.Errorf("inspect: %w\n%s", err, out)
	}
	return a, string(out), err
}

// parseInspect adds up the tables of columns and sections. Their last two
// fields are bytes and bytes a sample or row; the directories find the columns.
func parseInspect(text string) (Account, error) {
	var a Account
	table := ""
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		switch {
		case len(fields) < 2:
			table = ""
			continue
		case strings.HasPrefix(fields[len(fields)-1], "B/"):
			table = fields[0]
			continue
		case table != "column" && table != "section":
			continue
		}
		n, err := strconv.ParseInt(fields[len(fields)-2], 10, 64)
		if err != nil {
			return a, fmt.Errorf("line %q: %w", line, err)
		}
		if table == "column" || fields[0] == "directory" {
			a.Data += n
		} else {
			a.Index += n
		}
	}
	if a.Data == 0 {
		return a, errors.New("no table of columns")
	}
	return a, nil
}
