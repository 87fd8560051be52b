package operators

import (
	"errors"
	"fmt"

	"github.com/prometheus/prometheus/util/annotations"
)

// Limits on the annotations of an answer, for warnings and for infos each. The API
// shows ten of each and the number of the others, as Prometheus does.
const (
	maxAnnotations     = 1000
	maxAnnotationBytes = 1 << 20
)

// annotationSet holds the annotations of an answer. An error in a label can add one
// for each series; those over the limits are omitted.
type annotationSet struct {
	all             annotations.Annotations
	warnings, infos annotationCount
}

type annotationCount struct {
	n, bytes int
	over     bool // some were omitted
}

func (c *annotationCount) takes(text string) bool {
	if c.n >= maxAnnotations || c.bytes+len(text) > maxAnnotationBytes {
		c.over = true
		return false
	}
	c.n++
	c.bytes += len(text)
	return true
}

// add adds an annotation. Annotations with the same text are merged.
func (n *annotationSet) add(err error) {
	text := err.Error()
	if _, there := n.all[text]; !there {
		kind := &n.warnings
		if errors.Is(err, annotations.PromQLInfo) {
			kind = &n.infos
		}
		if !kind.takes(text) {
			return
		}
	}
	n.all.Add(err)
}

// addOmissions adds an annotation if some were omitted. It is called at the end.
func (n *annotationSet) addOmissions() {
	if n.warnings.over {
		n.all.Add(fmt.Errorf("%w: the query has more warnings than are kept, the %d first", annotations.PromQLWarning, n.warnings.n))
	}
	if n.infos.over {
		n.all.Add(fmt.Errorf("%w: the query has more infos than are kept, the %d first", annotations.PromQLInfo, n.infos.n))
	}
}
