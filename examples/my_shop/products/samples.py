"""The goods that the shop opens with."""

from dataclasses import dataclass
from typing import Callable

from products.pictures import goods


@dataclass(frozen=True)
class Sample:
    """One product as a person would enter it; `picture` draws its photo. The price is in đồng."""

    category: str
    name: str
    origin: str
    price: int
    stock: int
    picture: Callable
    summary: str
    description: str
    featured: bool = False


CERAMICS, TEA, CRAFT = "Gốm sứ", "Trà & cà phê", "Mây tre & thủ công"

SAMPLES = [
    Sample(
        CERAMICS, "Bình hoa men lam", "Bát Tràng, Hà Nội", 480_000, 12, goods.vase,
        "Bình cao 32 cm, hoa sen vẽ tay bằng coban dưới men trắng ngà.",
        "Đất sét trắng nung ở 1280 °C, mỗi chiếc vẽ trong hai ngày nên không chiếc nào giống chiếc nào.\n\n"
        "Miệng bình hẹp giữ cành thẳng; lòng tráng men, cắm nước không thấm.",
        featured=True,
    ),
    Sample(
        CERAMICS, "Ấm trà quai tre", "Phù Lãng, Bắc Ninh", 350_000, 8, goods.teapot,
        "Ấm 600 ml men da lươn xanh, quai tre uốn, có lưới lọc bằng đất.",
        "Vòi rót thẳng không nhỏ giọt. Quai tre hun khói nên không mọt và không nóng tay.",
    ),
    Sample(
        CERAMICS, "Tô sứ cánh sen", "Bát Tràng, Hà Nội", 165_000, 40, goods.bowl,
        "Tô 18 cm, hai lớp cánh sen vẽ quanh thân, dùng được trong lò vi sóng.",
        "Vừa một tô phở đầy. Chân cao cho dễ bưng, men bóng rửa nhanh sạch.",
    ),
    Sample(
        TEA, "Cà phê Buôn Ma Thuột", "Cư M’gar, Đắk Lắk", 145_000, 60, goods.coffee,
        "Robusta chín cây rang mộc vừa, 500 g, vị ca cao và hạt dẻ.",
        "Rang mỗi thứ Hai, gửi mỗi thứ Ba. Xay sẵn cho phin hoặc để nguyên hạt: xin ghi khi đặt hàng.",
    ),
    Sample(
        TEA, "Trà sen Tây Hồ", "Quảng An, Hà Nội", 690_000, 5, goods.tea,
        "Trà ướp gạo sen Bách Diệp bảy lần, hộp 100 g; mỗi ký cần hơn một nghìn bông.",
        "Hái lúc bốn giờ sáng khi hoa chưa nở, tách gạo sen và ướp ngay trong ngày.\n\n"
        "Pha nước 85 °C, chín nước vẫn còn hương.",
        featured=True,
    ),
    Sample(
        TEA, "Mật ong hoa cà phê", "Bảo Lộc, Lâm Đồng", 210_000, 25, goods.honey,
        "Lọ 500 ml, thu một lần mỗi năm vào mùa cà phê nở trắng đồi.",
        "Mật đặc, thơm nhẹ, hậu chua thanh. Để lạnh có thể kết tinh: ngâm nước ấm là tan.",
    ),
    Sample(
        TEA, "Phin nhôm và ly thuỷ tinh", "Chợ Lớn, TP. Hồ Chí Minh", 95_000, 80, goods.phin,
        "Phin dày 1,2 mm kèm ly 200 ml: bộ pha cà phê sữa đá đúng kiểu.",
        "Nắp gài ren chỉnh được tốc độ nhỏ giọt. Bốn phút cho một ly đậm.",
    ),
    Sample(
        CRAFT, "Nón lá Huế", "Phú Cam, Huế", 120_000, 30, goods.hat,
        "Mười sáu vành lá mỏng như giấy, soi lên nắng thấy câu thơ ép giữa hai lớp lá.",
        "Lá non ủi phẳng trên chảo gang, chằm bằng chỉ cước trong suốt. Quai lụa tháo giặt được.",
        featured=True,
    ),
    Sample(
        CRAFT, "Khăn lụa tơ tằm", "Vạn Phúc, Hà Đông", 420_000, 15, goods.scarf,
        "Khăn 60 × 180 cm dệt vân sen, nhuộm cánh kiến, mát mùa hè và ấm mùa đông.",
        "Tơ tằm nguyên chất dệt trên khung gỗ. Giặt tay bằng dầu gội, phơi trong bóng râm.",
    ),
    Sample(
        CRAFT, "Đèn lồng Hội An", "Cẩm Châu, Hội An", 260_000, 20, goods.lantern,
        "Khung tre xếp gọn như chiếc ô, bọc lụa đỏ, đường kính 30 cm.",
        "Lắp được bóng E27. Tre luộc nước muối rồi phơi mười ngày cho khỏi mối.",
        featured=True,
    ),
    Sample(
        CRAFT, "Tranh Đông Hồ: Đàn gà", "Thuận Thành, Bắc Ninh", 180_000, 18, goods.print_of_hen,
        "In năm bản gỗ trên giấy dó quét điệp, khung gỗ xoan 40 × 50 cm.",
        "Màu từ sỏi son, hoa hoè, lá chàm và than lá tre. Đàn gà là lời chúc nhà đông con, đủ đầy.",
    ),
    Sample(
        CRAFT, "Giỏ cói đi chợ", "Kim Sơn, Ninh Bình", 155_000, 35, goods.basket,
        "Cói hai nắng đan mắt dày, quai gỗ, đựng được 8 kg.",
        "Nhẹ, bền, hong nắng là sạch mùi. Càng dùng càng lên màu mật.",
    ),
]
