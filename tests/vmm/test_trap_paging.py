"""Shadow paging at work: hidden and true faults, A and D bits, flushes, write protection."""

from vmm_support import MEMORY, Run, like_native, small_image

from vizapp.isa.paging import PTE_A, PTE_D, PTE_U, PTE_W
from vizapp.machine import events

PTE_200 = 0x13_1000 + 0x200 * 4


def shadowed(run: Run, linear: int) -> list[str]:
    return [event.cause for event in run.kinds(events.PAGE_SHADOWED) if event.payload["linear"] == linear]


def test_host_frames_are_not_those_that_the_guest_believes_it_has():
    run = Run(small_image("mov dword [0x120000], 0x1234")).run()
    for event in run.kinds(events.PAGE_SHADOWED):
        assert event.payload["host_frame"] != event.payload["guest_frame"]
    assert run.pc.memory.read(0x12_0000, 4) != 0x1234
    assert run.memory(0x12_0000) == 0x1234


def test_a_page_is_shadowed_once_by_a_hidden_fault():
    run = like_native("PAGING; mov eax, [0x200000]; mov eax, [0x200004]; mov eax, [0x200008]")
    assert shadowed(run, 0x20_0000) == ["read"]


def test_the_first_write_comes_to_the_monitor_to_set_the_guest_s_d_bit():
    run = like_native("PAGING; mov eax, [0x200000]; mov edx, [PTE(0x200000)]; mov [0x200004], eax")
    assert shadowed(run, 0x20_0000) == ["read", "write"]
    assert run.monitor.guest_view().general[2] & (PTE_A | PTE_D) == PTE_A
    assert run.memory(PTE_200) & (PTE_A | PTE_D) == PTE_A | PTE_D


def test_a_page_already_dirty_is_writable_at_once():
    run = like_native("PAGING; or byte [PTE(0x200000)], 0x40; mov eax, [0x200000]; mov [0x200004], eax")
    assert shadowed(run, 0x20_0000) == ["read"]


def test_loading_cr3_drops_the_shadow():
    body = "PAGING; mov eax, [0x200000]; mov eax, cr3; mov cr3, eax; mov eax, [0x200000]"
    run = like_native(body)
    assert shadowed(run, 0x20_0000) == ["read", "read"]
    flushes = run.kinds(events.SHADOW_FLUSHED)
    assert flushes[-1].payload["pages"] > 0


def test_a_changed_entry_serves_after_invlpg():
    like_native(
        "PAGING; mov dword [0x201000], 0x5678; mov eax, [0x200000]; mov dword [PTE(0x200000)], 0x201007;"
        " invlpg [0x200000]; mov ebx, [0x200000]"
    )


def test_invlpg_drops_one_page_alone():
    run = like_native(
        "PAGING; mov eax, [0x200000]; mov eax, [0x201000]; invlpg [0x200000]; mov eax, [0x200000];"
        " mov eax, [0x201000]"
    )
    assert shadowed(run, 0x20_0000) == ["read", "read"]
    assert shadowed(run, 0x20_1000) == ["read"]


def test_without_invlpg_the_shadow_may_serve_the_old_entry_as_a_tlb_does():
    body = (
        "PAGING; mov dword [0x201000], 0x5678; mov eax, [0x200000]; mov dword [PTE(0x200000)], 0x201007;"
        " mov ebx, [0x200000]"
    )
    run = like_native(body)
    assert run.monitor.guest_view().general[3] == 0


def test_turning_paging_off_and_on_again_flushes():
    like_native(
        "PAGING; mov dword [0x201000], 0x5678; mov dword [PTE(0x200000)], 0x201007; mov eax, [0x200000];"
        " mov eax, cr0; and eax, 0x7FFFFFFF; mov cr0, eax; mov ebx, [0x200000]; or eax, 0x80000000;"
        " mov cr0, eax; mov ecx, [0x200000]"
    )


def test_a_kernel_without_write_protection_writes_what_its_tables_protect():
    body = (
        "PAGING; mov eax, cr0; and eax, 0xFFFEFFFF; mov cr0, eax; and byte [PTE(0x200000)], 0xFD;"
        " mov eax, [0x200000]; mov dword [0x200000], 0x1234; mov ebx, [0x200000];"
    )
    run = like_native(body)
    assert run.memory(0x20_0000) == 0x1234
    entry = run.kinds(events.PAGE_SHADOWED)[-1].payload["entry"]
    assert entry & (PTE_W | PTE_U) == PTE_W


def test_ring_3_does_not_inherit_what_the_kernel_wrote_through_protection():
    run = like_native(
        "PAGING; mov eax, cr0; and eax, 0xFFFEFFFF; mov cr0, eax; and byte [PTE(0x200000)], 0xFD;"
        " mov dword [0x200000], 0x1234; USER; mov eax, [0x200000]; mov [0x200000], eax"
    )
    assert run.kinds(events.FAULT_REFLECTED)[-1].payload["error"] == 7


def test_kernel_pages_are_not_for_ring_3():
    run = like_native(
        "PAGING; mov eax, [0x200000]; and byte [PTE(0x200000)], 0xFB; mov eax, cr3; mov cr3, eax; USER;"
        " mov eax, [0x200000]"
    )
    assert run.kinds(events.FAULT_REFLECTED)[-1].payload["error"] == 5


def test_beyond_the_guest_s_memory_reads_give_ones_and_writes_vanish():
    run = like_native(f"mov eax, [{MEMORY:#x}]; mov dword [{MEMORY:#x}], 5; mov ebx, [{MEMORY:#x}]")
    assert run.monitor.guest_view().general[0] == run.monitor.guest_view().general[3] == 0xFFFF_FFFF


def test_when_the_pool_of_tables_is_used_up_the_shadow_starts_anew():
    # One page in each of 70 directories, 4 MB apart, all led to one page table.
    run = like_native(
        "PAGING; mov edi, 0x130004; mov ecx, 70; more: mov dword [edi], 0x131007; add edi, 4; loop more;"
        " mov eax, cr3; mov cr3, eax; mov esi, 0x400000; mov ecx, 70; read: mov eax, [esi];"
        " add esi, 0x400000; loop read"
    )
    assert any("no page table" in event.cause for event in run.kinds(events.SHADOW_FLUSHED))


def test_the_top_4_mb_are_the_guest_s_all_the_same():
    # Linear FFC00000 on, mapped by the guest to its page 200: every access is emulated.
    run = like_native(
        "PAGING; mov dword [0x130FFC], 0x132007; mov dword [0x132000], 0x200007; mov eax, cr3; mov cr3, eax;"
        " mov dword [0xFFC00010], 0x1234; mov ebx, [0xFFC00010]"
    )
    assert run.memory(0x20_0010) == 0x1234


def test_code_up_there_runs_by_emulation():
    run = like_native(
        "PAGING; mov dword [0x130FFC], 0x132007; mov dword [0x132000], 0x200007; mov eax, cr3; mov cr3, eax;"
        " mov dword [0x200000], 0x90909090; mov dword [0x200004], 0x00F4FAB8;"
        " mov dword [0x200008], 0xF4F49000; jmp 8:0xFFC00000"
    )
    assert run.monitor.guest_view().eip > 0xFFC0_0000
