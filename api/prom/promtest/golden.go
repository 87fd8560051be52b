package promtest

import (
	"bufio"
	"bytes"
	"fmt"
	"strconv"
	"strings"
)

// Answer is a server's answer to a case.
type Answer struct {
	Status      int
	ContentType string
	Body        string
}

// AppendAnswer appends a case and its answer to the golden file: a line with
// the name, one with status and content type, and the quoted body.
func AppendAnswer(dst []byte, c Case, a Answer) []byte {
	dst = fmt.Appendf(dst, "=== %s\n", strconv.Quote(c.Name))
	dst = fmt.Appendf(dst, "%d %s\n", a.Status, a.ContentType)
	if strings.ContainsAny(a.Body, "\n") {
		return fmt.Appendf(dst, "%s\n\n", strconv.Quote(a.Body))
	}
	return fmt.Appendf(dst, "%s\n\n", a.Body)
}

// ParseAnswers reads a golden file, by the names of the cases.
func ParseAnswers(file []byte) (map[string]Answer, error) {
	answers := map[string]Answer{}
	s := bufio.NewScanner(bytes.NewReader(file))
	s.Buffer(nil, len(file)+1)
	for s.Scan() {
		quoted, ok := strings.CutPrefix(s.Text(), "=== ")
		if !ok {
			continue
		}
		name, err := strconv.Unquote(quoted)
		if err != nil {
			return nil, fmt.Errorf("golden file: name %s: %w", quoted, err)
		}
		var a Answer
		s.Scan()
		status, kind, _ := strings.Cut(s.Text(), " ")
		if a.Status, err = strconv.Atoi(status); err != nil {
			return nil, fmt.Errorf("golden file: status of %q: %w", name, err)
		}
		a.ContentType = kind
		s.Scan()
		a.Body = s.Text()
		if strings.HasPrefix(a.Body, `"`) {
			if a.Body, err = strconv.Unquote(a.Body); err != nil {
				return nil, fmt.Errorf("golden file: body of %q: %w", name, err)
			}
		}
		answers[name] = a
	}
	return answers, s.Err()
}
