"""A twin of KmemCache that follows mm/slub.c word for word, with plain lists that it searches.

It does not find pages: a new slab is the one that the cache under test has got and the twin does not know yet.
"""

from __future__ import annotations


class Page:
    """struct slab: ``freelist`` head first; ``frozen`` while it belongs to a CPU."""

    def __init__(self, pfn, order_of_objects):
        self.pfn = pfn
        self.objects = len(order_of_objects)
        self.freelist = list(order_of_objects)
        self.inuse = 0
        self.frozen = False


class NaiveSlub:
    """One cache: what each CPU has, the node's list of partial slabs, and all the rest."""

    def __init__(self, nr_cpus, min_partial, cpu_partial_slabs, debug=False):
        self.min_partial, self.cpu_partial_slabs, self.debug = min_partial, cpu_partial_slabs, debug
        self.slab = [None] * nr_cpus
        self.freelist = [[] for _ in range(nr_cpus)]
        self.cpu_partial = [[] for _ in range(nr_cpus)]
        self.partial = []
        self.pages = []
        self.discarded = []

    def page(self, pfn):
        (found,) = [page for page in self.pages if page.pfn == pfn]
        return found

    # -- slab_alloc_node() --------------------------------------------------------------------------------------------

    def needs_new_slab(self, cpu):
        if self.debug:
            return not self.partial
        mine = self.slab[cpu]
        own = mine is not None and (self.freelist[cpu] or mine.freelist)
        return not (own or self.cpu_partial[cpu] or self.partial)

    def alloc(self, cpu, new_slab):
        """Return (pfn, index); ``new_slab()`` makes a Page."""
        if self.debug:
            return self.alloc_single(new_slab)
        if not self.freelist[cpu]:
            self.slow_path(cpu, new_slab)
        return self.slab[cpu].pfn, self.freelist[cpu].pop(0)

    def slow_path(self, cpu, new_slab):
        if self.slab[cpu] is not None and self.slab[cpu].freelist:
            self.load(cpu, self.slab[cpu])
            return
        if self.slab[cpu] is not None:
            self.slab[cpu].frozen = False
            self.slab[cpu] = None
        if self.cpu_partial[cpu]:
            self.load(cpu, self.cpu_partial[cpu].pop(0))
        elif self.partial:
            self.get_partial_node(cpu)
        else:
            page = new_slab()
            self.pages.append(page)
            self.load(cpu, page)

    def load(self, cpu, page):
        """get_freelist() or freeze_slab(): all that is free is the CPU's, and counts as used."""
        self.slab[cpu], self.freelist[cpu] = page, page.freelist
        page.freelist, page.inuse, page.frozen = [], page.objects, True

    def get_partial_node(self, cpu):
        found = self.partial.pop(0)
        moved = 0
        while self.partial and self.cpu_partial_slabs:
            self.put_cpu_partial(cpu, self.partial.pop(0), drain=False)
            moved += 1
            if moved > self.cpu_partial_slabs // 2:
                break
        self.load(cpu, found)

    def alloc_single(self, new_slab):
        if not self.partial:
            page = new_slab()
            self.pages.append(page)
            self.partial.insert(0, page)
        page = self.partial[0]
        index = page.freelist.pop(0)
        page.inuse += 1
        if page.inuse == page.objects:
            self.partial.pop(0)
        return page.pfn, index

    # -- __slab_free() ------------------------------------------------------------------------------------------------

    def free(self, pfn, index, cpu):
        page = self.page(pfn)
        if page is self.slab[cpu]:
            self.freelist[cpu].insert(0, index)
            return
        was_full = not page.freelist
        page.freelist.insert(0, index)
        page.inuse -= 1
        if page.frozen:
            return
        if was_full and not self.debug:
            self.put_cpu_partial(cpu, page, drain=True)
            return
        if not was_full and page not in self.partial:  # on some CPU's partial list
            return
        if page.inuse == 0 and len(self.partial) >= self.min_partial:
            if page in self.partial:
                self.partial.remove(page)
            self.discard([page])
        elif was_full:
            self.partial.append(page)

    def put_cpu_partial(self, cpu, page, drain):
        full = drain and len(self.cpu_partial[cpu]) >= self.cpu_partial_slabs
        old = self.cpu_partial[cpu]
        self.cpu_partial[cpu] = [page, *([] if full else old)]
        if full:
            self.put_partials(old)

    def put_partials(self, pages):
        empty = []
        for page in pages:
            if page.inuse == 0 and len(self.partial) >= self.min_partial:
                empty.insert(0, page)
            else:
                self.partial.append(page)
        self.discard(empty)

    def discard(self, pages):
        for page in pages:
            self.pages.remove(page)
            self.discarded.append(page.pfn)

    # -- flush_slab(), __kmem_cache_do_shrink() -----------------------------------------------------------------------

    def flush(self, cpu):
        page, own = self.slab[cpu], self.freelist[cpu]
        if page is not None:
            to_tail = bool(page.freelist)
            page.inuse -= len(own)
            page.freelist, page.frozen = own + page.freelist, False
            self.slab[cpu], self.freelist[cpu] = None, []
            if page.inuse == 0 and len(self.partial) >= self.min_partial:
                self.discard([page])
            elif page.freelist:
                self.partial.insert(len(self.partial) if to_tail else 0, page)
        pages, self.cpu_partial[cpu] = self.cpu_partial[cpu], []
        self.put_partials(pages)

    def shrink(self):
        for cpu in range(len(self.slab)):
            self.flush(cpu)
        promote = [[] for _ in range(32)]
        empty, rest = [], []
        for page in self.partial:
            free = page.objects - page.inuse
            if free == page.objects:
                empty.insert(0, page)  # list_move() puts at the head
            elif free <= 32:
                promote[free - 1].insert(0, page)
            else:
                rest.append(page)
        self.partial = [page for pages in promote for page in pages] + rest
        self.discard(empty)

    # -- to compare ---------------------------------------------------------------------------------------------------

    def lists(self):
        """(what, CPU, slabs by (pfn, own list)) of every list, and CPU lists."""
        return (
            [page and page.pfn for page in self.slab],
            self.freelist,
            [[page.pfn for page in pages] for pages in self.cpu_partial],
            [page.pfn for page in self.partial],
            {page.pfn: page.freelist for page in self.pages},
        )
