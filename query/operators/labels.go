package operators

import (
	"math"
	"regexp"
	"strings"

	commonmodel "github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"

	"tsdb/query/admission"
	"tsdb/query/steps"
)

// relabelNode is label_replace and label_join, which change labels but not values.
type relabelNode struct {
	steps.Grid
	child Node
	dst   string
	// prepare checks the arguments. The returned function returns the new value of a
	// series' label dst, or false if the label is unchanged.
	prepare func(maxBytes int) (func(labels.Labels) (string, bool, error), error)
}

func (n *relabelNode) table(f *Evaluation) (*table, error) {
	value, err := n.prepare(f.MaxLabelValue)
	if err != nil {
		return nil, err
	}
	t, err := f.table(n.child)
	if err != nil {
		return nil, err
	}
	b := labels.NewBuilder(labels.EmptyLabels())
	for i := range t.cols {
		if i%relabelCheckInterval == 0 {
			if err := f.Check(); err != nil {
				return nil, err
			}
		}
		c := &t.cols[i]
		v, ok, err := value(c.metric)
		if err != nil {
			return nil, err
		}
		if !ok {
			continue
		}
		if err := f.takeFor(t, int64(c.metric.ByteSize())+int64(len(n.dst)+len(v))); err != nil {
			return nil, err
		}
		b.Reset(c.metric)
		b.Set(n.dst, v)
		c.metric = b.Labels()
		if n.dst == nameLabel {
			c.drop = false
		}
	}
	t.cols, err = mergeEqual(f.mem, t.cols)
	return t, err
}

// relabelCheckInterval is the number of series relabelled between context checks.
const relabelCheckInterval = 256

// expandTemplate returns template with its references replaced by submatches of v,
// whose indexes are in at. It stops and returns ok = false once the value exceeds
// maxBytes.
func expandTemplate(re *regexp.Regexp, template, v string, at []int, maxBytes int) (value string, ok bool) {
	var dst []byte
	for template != "" && len(dst) <= maxBytes {
		end := len(template) // of the leading reference or text
		for i := 1; i < len(template); i++ {
			if template[i] != '$' {
				continue
			}
			if i == 1 && template[0] == '$' { // $$ is a dollar
				end = 2
			} else {
				end = i
			}
			break
		}
		dst = re.ExpandString(dst, template[:end], v, at)
		template = template[end:]
	}
	return string(dst), len(dst) <= maxBytes
}

// reference matches the references to submatches in a template.
var reference = regexp.MustCompile(`\$\$|\$[\pL\p{Nd}_]+|\$\{[\pL\p{Nd}_]+\}`)

// TemplateLength returns the maximum length of an expanded template whose references
// expand to at most n bytes each.
func TemplateLength(template string, n int) int {
	long := len(template)
	for _, at := range reference.FindAllStringIndex(template, -1) {
		if template[at[0]:at[1]] != "$$" {
			long += n
		}
		if long > math.MaxInt32 {
			break
		}
	}
	return long
}

func stringArg(e parser.Expr) string { return e.(*parser.StringLiteral).Val }

func planLabelReplace(e *parser.Call, args []Node, g steps.Grid) (Node, error) {
	dst, with, src, text := stringArg(e.Args[1]), stringArg(e.Args[2]), stringArg(e.Args[3]), stringArg(e.Args[4])
	prepare := func(maxBytes int) (func(labels.Labels) (string, bool, error), error) {
		if n := admission.RegexpMemory(text); n > admission.DefaultTextMemory {
			return nil, admission.NewTextMemoryError(n, admission.DefaultTextMemory)
		}
		re, err := regexp.Compile("^(?s:" + text + ")$")
		if err != nil {
			return nil, evalErrorf("invalid regular expression in label_replace(): %.1000s", text)
		}
		if !commonmodel.UTF8Validation.IsValidLabelName(dst) {
			return nil, evalErrorf("invalid destination label name in label_replace(): %s", dst)
		}
		return func(ls labels.Labels) (string, bool, error) {
			v := ls.Get(src)
			at := re.FindStringSubmatchIndex(v)
			if at == nil {
				return "", false, nil
			}
			value, ok := expandTemplate(re, with, v, at, maxBytes)
			if !ok {
				return "", false, admission.NewLabelValueError(dst, len(value), maxBytes)
			}
			return value, true, nil
		}, nil
	}
	return &relabelNode{g, args[0], dst, prepare}, nil
}

func planLabelJoin(e *parser.Call, args []Node, g steps.Grid) (Node, error) {
	dst, separator := stringArg(e.Args[1]), stringArg(e.Args[2])
	var sources []string
	for _, a := range e.Args[3:] {
		sources = append(sources, stringArg(a))
	}
	prepare := func(maxBytes int) (func(labels.Labels) (string, bool, error), error) {
		for _, s := range sources {
			if !commonmodel.UTF8Validation.IsValidLabelName(s) {
				return nil, evalErrorf("invalid source label name in label_join(): %s", s)
			}
		}
		if !commonmodel.UTF8Validation.IsValidLabelName(dst) {
			return nil, evalErrorf("invalid destination label name in label_join(): %s", dst)
		}
		values := make([]string, len(sources))
		return func(ls labels.Labels) (string, bool, error) {
			size := len(separator) * max(len(sources)-1, 0)
			for i, s := range sources {
				values[i] = ls.Get(s)
				size += len(values[i])
			}
			if size > maxBytes {
				return "", false, admission.NewLabelValueError(dst, size, maxBytes)
			}
			return strings.Join(values, separator), true, nil
		}, nil
	}
	return &relabelNode{g, args[0], dst, prepare}, nil
}
